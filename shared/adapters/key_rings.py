"""The key ring behind a URI: files of a folder, or a Key Vault."""

from __future__ import annotations

from pathlib import Path

from shared.adapters.file_keys import FILE_SCHEME, FileKeyRing
from shared.ports.errors import KeyUnusable
from shared.ports.keys import KeyRing


def open_key_ring(uri: str) -> KeyRing:
    """The key ring at ``file:<folder>``.

    Raises:
        KeyUnusable: No key ring has such a URI.
    """
    if uri.startswith(FILE_SCHEME):
        return FileKeyRing(Path(uri.removeprefix(FILE_SCHEME)))
    raise KeyUnusable(f"no key ring takes the URI {uri!r} yet; give file:<folder>")
