"""How an enrolment tells its devices from others: by symmetric keys or by certificates.

Sources: "Symmetric key attestation" (keys of a group's devices) and "X.509 certificate attestation" of the service.
"""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from emulator.hub.policies import new_key
from emulator.hub.sas import BadSignature, SasToken
from emulator.provisioning.errors import invalid

_POLICY = "registration"
_KEY_BYTES = range(16, 65)


@dataclass(frozen=True, slots=True, kw_only=True)
class SymmetricKeys:
    """Base64; a group's devices use what is derived from them."""

    primary: str
    secondary: str

    def derived(self, registration_id: str) -> "SymmetricKeys":
        """The keys of one device of a group."""
        return SymmetricKeys(
            primary=_derive(self.primary, registration_id), secondary=_derive(self.secondary, registration_id)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM: an individual enrolment's own certificates, or the authorities that sign those of a group."""

    pem: tuple[str, ...]


type Attestation = SymmetricKeys | Certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The certificate that a device showed, by its SHA-256 in hex."""

    thumbprint: str


type Credential = SymmetricKeys | Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a device showed when it connected: a token, or the certificate that TLS has verified (DER)."""

    token: SasToken | None = None
    certificate: bytes | None = None


def accepts_token(keys: SymmetricKeys, token: SasToken, *, resource: str, now: datetime) -> bool:
    """Whether a token was made with one of the keys, for this registration."""
    if token.resource != resource or token.policy not in ("", _POLICY):
        return False
    try:
        token.check((keys.primary, keys.secondary), now)
    except BadSignature:
        return False
    return True


def names(certificate: bytes, registration_id: str) -> bool:
    """Whether the certificate's common name is the registration id."""
    subject = x509.load_der_x509_certificate(certificate).subject
    return [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [registration_id]


def is_one_of(certificates: Certificates, certificate: bytes) -> bool:
    """Whether it is the very certificate of an individual enrolment."""
    shown = x509.load_der_x509_certificate(certificate)
    return any(x509.load_pem_x509_certificate(pem.encode()) == shown for pem in certificates.pem)


def is_signed_by(certificates: Certificates, certificate: bytes) -> bool:
    """Whether a group's authority issued it."""
    shown = x509.load_der_x509_certificate(certificate)
    return any(_issued(x509.load_pem_x509_certificate(pem.encode()), shown) for pem in certificates.pem)


def read_attestation(document: Mapping[str, Any]) -> Attestation:
    """As in the service's REST API; keys are made where none are given.

    Raises:
        ProvisioningError: 400, also for a TPM.
    """
    match document.get("type"):
        case "symmetricKey":
            keys = document.get("symmetricKey") or {}
            primary, secondary = (_read_key(keys.get(name)) for name in ("primaryKey", "secondaryKey"))
            return SymmetricKeys(primary=primary, secondary=secondary)
        case "x509":
            fields = document.get("x509") or {}
            kept = fields.get("clientCertificates") or fields.get("signingCertificates") or {}
            pem = tuple(kept[name]["certificate"] for name in ("primary", "secondary") if kept.get(name))
            return Certificates(pem=_checked(pem))
        case other:
            raise invalid(f"attestation.type is symmetricKey or x509, not {other!r}")


def write_attestation(attestation: Attestation, *, of_group: bool) -> dict[str, Any]:
    """As :func:`read_attestation` reads it."""
    if isinstance(attestation, SymmetricKeys):
        keys = {"primaryKey": attestation.primary, "secondaryKey": attestation.secondary}
        return {"type": "symmetricKey", "symmetricKey": keys}
    kept = {name: {"certificate": pem} for name, pem in zip(("primary", "secondary"), attestation.pem, strict=False)}
    return {"type": "x509", "x509": {"signingCertificates" if of_group else "clientCertificates": kept}}


def _issued(authority: x509.Certificate, shown: x509.Certificate) -> bool:
    try:
        shown.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _checked(pem: tuple[str, ...]) -> tuple[str, ...]:
    try:
        for text in pem:
            x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise invalid("a certificate is no PEM text") from error
    if not pem:
        raise invalid("x509 has neither clientCertificates nor signingCertificates")
    return pem


def _read_key(text: Any) -> str:
    if text is None:
        return new_key()
    try:
        if len(base64.b64decode(text, validate=True)) in _KEY_BYTES:
            return str(text)
    except (TypeError, ValueError):
        pass
    raise invalid("a symmetric key is base64 of 16 to 64 bytes")


def _derive(key: str, registration_id: str) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(key), registration_id.encode(), "sha256")).decode()
