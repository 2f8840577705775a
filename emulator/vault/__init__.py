"""A Key Vault for keys: elliptic curves, versions, signing. Spoken to by the real `azure-keyvault-keys`."""

from emulator.vault.server import APP_CLIENT_ID, OWNER_CLIENT_ID, VaultServer

__all__ = ["APP_CLIENT_ID", "OWNER_CLIENT_ID", "VaultServer"]
