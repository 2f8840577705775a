"""The key ring behind a URI: a Key Vault, or files of a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from azure.core.credentials import TokenCredential

from shared.adapters.file_keys import FILE_SCHEME, FileKeyRing
from shared.adapters.key_vault import VaultKeyRing
from shared.ports.errors import KeyUnusable
from shared.ports.keys import KeyRing

VAULT_SCHEME = "https://"


def open_key_ring(uri: str, find_credential: Callable[[], TokenCredential]) -> KeyRing:
    """The key ring at ``https://<vault>`` or ``file:<folder>``.

    Args:
        find_credential: Asked only where the keys lie in a vault.

    Raises:
        KeyUnusable: No key ring has such a URI.
    """
    if uri.startswith(FILE_SCHEME):
        return FileKeyRing(Path(uri.removeprefix(FILE_SCHEME)))
    if uri.startswith(VAULT_SCHEME):
        return VaultKeyRing(uri, find_credential())
    raise KeyUnusable(f"no key ring takes the URI {uri!r}; give https://<vault>.vault.azure.net or file:<folder>")
