"""What the online keys are for, and which kinds of keys may sign what."""

from __future__ import annotations

from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from securesystemslib.signer import SSlibKey

from shared.domain.errors import TrustError

ECDSA = "ecdsa-sha2-nistp256"
ED25519 = "ed25519"


class KeyRole(StrEnum):
    """The keys the service signs with while it runs; the root, and by default targets, stay with their owners."""

    TARGETS = "targets"
    BINS = "bins"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"
    INTENTS = "intents"
    SPECS = "specs"


class WrongKeyType(TrustError):
    """A key of a kind that nothing here signs with."""

    code = "wrong_key_type"


class SignatureUnfit(TrustError):
    """What was signed does not verify under the keys that the role has."""

    code = "signature_unfit"


def describe_public_key(key: PublicKeyTypes) -> SSlibKey:
    """The key as metadata names it.

    Raises:
        WrongKeyType: It is neither ECDSA P-256 nor Ed25519.
    """
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return SSlibKey.from_crypto(key, scheme=ECDSA)
    if isinstance(key, Ed25519PublicKey):
        return SSlibKey.from_crypto(key, scheme=ED25519)
    raise WrongKeyType(f"{_kind(key)} keys are not used here; make an ECDSA P-256 or an Ed25519 key")


def _kind(key: PublicKeyTypes) -> str:
    curve = getattr(key, "curve", None)
    return f"{type(key).__name__.removeprefix('_').removesuffix('PublicKey')}{f' {curve.name}' if curve else ''}"
