"""RSA keys that tokens are signed with, kept in one private file; the newest signs."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import RSAAlgorithm

from emulator.private_files import write_private_bytes

ALGORITHM = "RS256"
_BITS = 2048


class SigningKeys:
    """Made at first start; a rotation adds one, and `drop` takes the old ones back.

    Args:
        path: JSON file they are kept in, key id to PEM.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if not self._keys:
            self.rotate()

    def rotate(self) -> str:
        """A new key, which signs from now on; its id."""
        key_id = secrets.token_urlsafe(16)
        key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
        self._keys[key_id] = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self._keep()
        return key_id

    def drop_old(self) -> None:
        """Keep the newest alone."""
        newest = self._newest
        self._keys = {newest: self._keys[newest]}
        self._keep()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token with these claims."""
        return jwt.encode(
            dict(claims), self._keys[self._newest], algorithm=ALGORITHM, headers={"kid": self._newest, "typ": "JWT"}
        )

    def public_set(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517)."""
        return {"keys": [_public(key_id, pem) for key_id, pem in self._keys.items()]}

    @property
    def _newest(self) -> str:
        return [*self._keys][-1]

    def _keep(self) -> None:
        write_private_bytes(self._path, json.dumps(self._keys).encode())


def _public(key_id: str, pem: str) -> dict[str, Any]:
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{key_id} is no RSA key")
    document: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    return {"kty": "RSA", "use": "sig", "kid": key_id, "n": document["n"], "e": document["e"]}
