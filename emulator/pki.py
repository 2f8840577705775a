"""A local certificate authority and one server certificate, made at first start and kept in a state folder.

Both keys are ECDSA P-256 and readable by their owner only. A client trusts the servers by trusting ``ca.pem``.
"""

import ipaddress
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_LIFETIME = timedelta(days=3650)
_SERVER_LIFETIME = timedelta(days=397)
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Where a certificate and its private key lie, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAuthority:
    """The local certificate authority in its folder."""

    folder: Path
    ca: KeyPair

    def server_certificate(self, addresses: Iterable[str]) -> KeyPair:
        """A certificate for ``localhost`` and these IP addresses; the kept one where it still covers them."""
        pair = KeyPair(certificate=self.folder / "server.pem", key=self.folder / "server.key")
        wanted = frozenset(addresses)
        kept = _read_certificate(pair)
        if kept is None or not _covers(kept, wanted) or _ends_soon(kept):
            self._issue(pair, wanted | (_addresses(kept) if kept else frozenset()))
        return pair

    def server_context(self, addresses: Iterable[str]) -> ssl.SSLContext:
        """A TLS context (1.2 or newer) that serves :meth:`server_certificate`."""
        pair = self.server_certificate(addresses)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(pair.certificate, pair.key)
        return context

    def _issue(self, pair: KeyPair, addresses: frozenset[str]) -> None:
        issuer = x509.load_pem_x509_certificate(self.ca.certificate.read_bytes())
        issuer_key = _read_key(self.ca.key)
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName("localhost")]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in sorted(addresses)]
        certificate = (
            _template("localhost", issuer.subject, key, _SERVER_LIFETIME)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
        _write(pair, certificate, key)


def open_authority(folder: Path) -> LocalAuthority:
    """The authority kept in ``folder``, made there if the folder holds none (or one about to expire)."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = KeyPair(certificate=folder / "ca.pem", key=folder / "ca.key")
    kept = _read_certificate(pair)
    if kept is None or _ends_soon(kept):
        _make_authority(pair)
        (folder / "server.pem").unlink(missing_ok=True)
    return LocalAuthority(folder=folder, ca=pair)


def _make_authority(pair: KeyPair) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    common_name = f"Local cloud CA {os.urandom(4).hex()}"
    certificate = (
        _template(common_name, _name(common_name), key, _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_KEY_USAGE, critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(pair, certificate, key)


_CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _template(
    common_name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _read_certificate(pair: KeyPair) -> x509.Certificate | None:
    if not (pair.certificate.exists() and pair.key.exists()):
        return None
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds no elliptic-curve key; remove its folder to have new ones made")
    return key


def _addresses(certificate: x509.Certificate) -> frozenset[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return frozenset(str(address) for address in names.get_values_for_type(x509.IPAddress))


def _covers(certificate: x509.Certificate, addresses: frozenset[str]) -> bool:
    return addresses <= _addresses(certificate)


def _ends_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.now(UTC) < _RENEW_BEFORE


def _write(pair: KeyPair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _replace(pair.key, text)
    _replace(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _replace(path: Path, content: bytes) -> None:
    """Written beside and renamed, so that a reader never meets half a file; 0600 from the first byte."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)
