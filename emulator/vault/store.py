"""The keys of a vault: versions of elliptic-curve keys, kept in one private file."""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from emulator.private_files import write_private_bytes
from emulator.vault.errors import bad_parameter, not_found

CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVersion:
    """One version of a key.

    Attributes:
        private_pem: PKCS #8, never leaves the vault.
        created: Unix time.
        expires: Unix time; None for never.
    """

    name: str
    version: str
    curve: str
    private_pem: str
    enabled: bool = True
    created: int
    updated: int
    expires: int | None = None

    @property
    def private_key(self) -> ec.EllipticCurvePrivateKey:
        key = load_pem_private_key(self.private_pem.encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.name} is no elliptic-curve key")
        return key


class KeyStore:
    """Keys by name, each a list of versions, the newest last.

    Args:
        path: JSON file they are kept in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {}
        self._keys = {name: [KeyVersion(**fields) for fields in versions] for name, versions in kept.items()}

    def names(self) -> list[str]:
        return sorted(self._keys)

    def versions(self, name: str) -> list[KeyVersion]:
        """All versions, the oldest first.

        Raises:
            VaultError: there is no such key.
        """
        if name not in self._keys:
            raise not_found(name)
        return list(self._keys[name])

    def get(self, name: str, version: str = "") -> KeyVersion:
        """A version, the newest where none is named.

        Raises:
            VaultError: there is no such key or version.
        """
        versions = self.versions(name)
        if not version:
            return versions[-1]
        for each in versions:
            if each.version == version:
                return each
        raise not_found(name, version)

    def create(self, name: str, curve: str) -> KeyVersion:
        """A new version of the key, which becomes the newest.

        Raises:
            VaultError: no such curve.
        """
        if curve not in CURVES:
            raise bad_parameter(f"Property crv has the invalid value {curve!r}; this vault makes {', '.join(CURVES)}.")
        return self.add(name, curve, ec.generate_private_key(CURVES[curve]))

    def add(self, name: str, curve: str, key: ec.EllipticCurvePrivateKey) -> KeyVersion:
        """A private key as the newest version."""
        now = int(time.time())
        made = KeyVersion(
            name=name,
            version=secrets.token_hex(16),
            curve=curve,
            private_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            created=now,
            updated=now,
        )
        self._keys.setdefault(name, []).append(made)
        self._keep()
        return made

    def update(self, name: str, version: str, *, enabled: bool | None, expires: int | None) -> KeyVersion:
        """The version with other attributes; what is None stays.

        Raises:
            VaultError: there is no such key or version.
        """
        before = self.get(name, version)
        after = replace(
            before,
            enabled=before.enabled if enabled is None else enabled,
            expires=before.expires if expires is None else expires,
            updated=int(time.time()),
        )
        self._keys[name] = [after if each.version == before.version else each for each in self._keys[name]]
        self._keep()
        return after

    def delete(self, name: str) -> KeyVersion:
        """Remove a key with all its versions; its newest one.

        Raises:
            VaultError: there is no such key.
        """
        newest = self.get(name)
        del self._keys[name]
        self._keep()
        return newest

    def _keep(self) -> None:
        document = {name: [asdict(version) for version in versions] for name, versions in self._items()}
        write_private_bytes(self._path, json.dumps(document).encode())

    def _items(self) -> Iterator[tuple[str, list[KeyVersion]]]:
        yield from self._keys.items()
