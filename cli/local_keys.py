"""The keys of the local service: the online ones in its vault, the owners' beside the index in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import KeyClient

from cli.keys import init_repository
from emulator.app_environment import app_environment
from shared.adapters.key_vault import VaultKeyRing
from shared.trust.signers import KeyRole

ONLINE = tuple(role for role in KeyRole if role is not KeyRole.TARGETS)


def found_index(settings: Mapping[str, str], *, directory: Path, bins: int) -> Path:
    """Make what is missing of keys and index; doing it again changes nothing.

    Args:
        settings: Of the local cloud.
        directory: Folder of the owners' key files.

    Returns:
        The path of ``root.json``, which devices are born with.
    """
    with app_environment(settings), ManagedIdentityCredential() as app:
        _make_online_keys(settings["KEY_VAULT_URI"], settings["KEY_OWNER_CLIENT_ID"])
        online = VaultKeyRing(settings["KEY_VAULT_URI"], app)
        return init_repository(directory=directory, storage=settings["Storage"], bins=bins, online=online)


def _make_online_keys(vault_url: str, owner: str) -> None:
    with ManagedIdentityCredential(client_id=owner) as credential, KeyClient(vault_url, credential) as vault:
        for role in ONLINE:
            try:
                vault.get_key(role)
            except ResourceNotFoundError:
                vault.create_ec_key(role, curve="P-256")
