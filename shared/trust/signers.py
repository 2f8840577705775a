"""Signers, chosen by the URI of their key.

``file:<path>`` names a PEM file with an unencrypted PKCS #8 key, for one machine only. Every other scheme
(``azurekms:``, ``hsm:`` …) goes to securesystemslib, which wants the public key, because it cannot see the private one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from shared.domain.errors import TrustError

FILE_SCHEME = "file:"
SCHEME = "ecdsa-sha2-nistp256"


class KeyRole(StrEnum):
    """The keys the service signs with while it runs; root and targets stay with their owners."""

    BINS = "bins"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"
    INTENTS = "intents"


class KeyUnusable(TrustError):
    """A signing key is missing, of the wrong kind, or not the one the index names."""

    code = "key_unusable"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSigners:
    """The online signers of the index."""

    bins: Signer
    snapshot: Signer
    timestamp: Signer


def load_signer(uri: str, public_key: Key | None = None) -> Signer:
    """The signer behind a key URI.

    Args:
        public_key: The key others verify with; ``file:`` keys carry it themselves.

    Raises:
        KeyUnusable: There is no such key, it is not ECDSA P-256, or it does not belong to ``public_key``.
    """
    if uri.startswith(FILE_SCHEME):
        return _load_file(Path(uri.removeprefix(FILE_SCHEME)), public_key)
    if public_key is None:
        raise KeyUnusable(f"the signer for {uri!r} needs the public key")
    try:
        return Signer.from_priv_key_uri(uri, public_key)
    except ValueError as error:
        raise KeyUnusable(f"no signer takes the key URI {uri!r}: {error}") from error


def load_role_signer(keys_uri: str, role: KeyRole) -> Signer:
    """The signer of a role below ``file:<folder>``.

    Raises:
        KeyUnusable: As ``load_signer`` says.
    """
    return load_signer(f"{keys_uri.rstrip('/')}/{role}.pem")


def load_index_signers(keys_uri: str) -> IndexSigners:
    """The index's signers below ``file:<folder>``.

    Raises:
        KeyUnusable: As ``load_signer`` says.
    """
    return IndexSigners(
        bins=load_role_signer(keys_uri, KeyRole.BINS),
        snapshot=load_role_signer(keys_uri, KeyRole.SNAPSHOT),
        timestamp=load_role_signer(keys_uri, KeyRole.TIMESTAMP),
    )


def _load_file(path: Path, public_key: Key | None) -> Signer:
    try:
        private_key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path} cannot be read as an unencrypted PEM key: {error}") from error
    if not isinstance(private_key, EllipticCurvePrivateKey) or not isinstance(private_key.curve, SECP256R1):
        raise KeyUnusable(f"{path} holds no ECDSA P-256 key")
    own_key = SSlibKey.from_crypto(private_key.public_key(), scheme=SCHEME)
    if public_key is not None and public_key.keyid != own_key.keyid:
        raise KeyUnusable(f"{path} does not belong to the public key {public_key.keyid[:12]}")
    return CryptoSigner(private_key, own_key)
