"""Keys, signatures and numbers as the vault's REST API writes them (RFC 7517, RFC 7518)."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from emulator.vault.errors import bad_parameter
from emulator.vault.store import CURVES, KeyVersion

_SIZES = {"P-256": 32, "P-384": 48, "P-521": 66}
_ALGORITHMS: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    "ES256": ("P-256", hashes.SHA256()),
    "ES384": ("P-384", hashes.SHA384()),
    "ES512": ("P-521", hashes.SHA512()),
}


def encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text: object) -> bytes:
    """The octets in base64url text.

    Raises:
        VaultError: it is no such text.
    """
    try:
        return base64.urlsafe_b64decode(str(text) + "=" * (-len(str(text)) % 4))
    except ValueError as error:
        raise bad_parameter("a value is not base64url") from error


def key_id(base_url: str, key: KeyVersion) -> str:
    return f"{base_url}/keys/{key.name}/{key.version}"


def write_attributes(key: KeyVersion) -> dict[str, Any]:
    attributes = {
        "enabled": key.enabled,
        "created": key.created,
        "updated": key.updated,
        "recoveryLevel": "Purgeable",
        "exportable": False,
    }
    return attributes if key.expires is None else attributes | {"exp": key.expires}


def write_item(base_url: str, key: KeyVersion) -> dict[str, Any]:
    return {"kid": key_id(base_url, key), "attributes": write_attributes(key)}


def write_key(base_url: str, key: KeyVersion) -> dict[str, Any]:
    numbers = key.private_key.public_key().public_numbers()
    size = _SIZES[key.curve]
    return {
        "key": {
            "kid": key_id(base_url, key),
            "kty": "EC",
            "crv": key.curve,
            "key_ops": ["sign", "verify"],
            "x": encode(numbers.x.to_bytes(size)),
            "y": encode(numbers.y.to_bytes(size)),
        },
        "attributes": write_attributes(key),
    }


def read_private_key(document: Mapping[str, Any]) -> tuple[str, ec.EllipticCurvePrivateKey]:
    """Curve and key in a JSON web key.

    Raises:
        VaultError: it is no private key on a curve of this vault.
    """
    try:
        curve = str(document["crv"])
        x, y, d = (int.from_bytes(decode(document[part])) for part in ("x", "y", "d"))
        return curve, ec.EllipticCurvePrivateNumbers(
            d, ec.EllipticCurvePublicNumbers(x, y, CURVES[curve])
        ).private_key()
    except (KeyError, ValueError) as error:
        raise bad_parameter(f"the key to import is no private elliptic-curve key: {error}") from error


def sign(key: KeyVersion, algorithm: str, digest: bytes) -> bytes:
    """The signature over a digest, r and s side by side.

    Raises:
        VaultError: the algorithm does not fit the key, or the digest not the algorithm.
    """
    hash_ = _hash_of(key, algorithm, digest)
    r, s = decode_dss_signature(key.private_key.sign(digest, ec.ECDSA(Prehashed(hash_))))
    size = _SIZES[key.curve]
    return r.to_bytes(size) + s.to_bytes(size)


def verifies(key: KeyVersion, algorithm: str, digest: bytes, signature: bytes) -> bool:
    """Whether a signature is over that digest.

    Raises:
        VaultError: as `sign`.
    """
    hash_, half = _hash_of(key, algorithm, digest), len(signature) // 2
    der = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
    try:
        key.private_key.public_key().verify(der, digest, ec.ECDSA(Prehashed(hash_)))
    except InvalidSignature:
        return False
    return True


def _hash_of(key: KeyVersion, algorithm: str, digest: bytes) -> hashes.HashAlgorithm:
    curve, hash_ = _ALGORITHMS.get(algorithm, ("", hashes.SHA256()))
    if curve != key.curve:
        raise bad_parameter(f"Key and signing algorithm are incompatible: a {key.curve} key does not sign {algorithm}.")
    if len(digest) != hashlib.new(hash_.name).digest_size:
        raise bad_parameter(f"Invalid length of value: {len(digest)} bytes. {algorithm} signs a {hash_.name} digest.")
    return hash_
