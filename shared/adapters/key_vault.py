"""Online keys in Azure Key Vault; implements ``KeyRing``.

Keys are named after their roles, and a rotation is a new version. The vault signs digests (ES256) and answers r and s
side by side; metadata and envelopes want them in DER. securesystemslib's own signer would do the same, with a
credential that it makes itself and nobody can replace.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.keyvault.keys import KeyClient, KeyVaultKey
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from securesystemslib.signer import Key, SecretsHandler, Signature, Signer

from shared.adapters.azure_access import Resource, explain_refusal
from shared.adapters.refusals_told import throttled
from shared.ports.errors import KeyRefused, KeyUnusable, PortError, Unavailable
from shared.trust.signers import KeyRole, describe_public_key

FRESH_S = 60.0
"""A key that is disabled in the vault cannot sign from that moment; that it is gone is noticed this much later."""

_HALF = 32


class VaultSigner(Signer):
    """Signs with one version of a key; the private key stays where it is."""

    def __init__(self, role: KeyRole, public_key: Key, client: CryptographyClient) -> None:
        self._role = role
        self._public_key = public_key
        self._client = client

    @property
    def public_key(self) -> Key:
        """The key that others verify with."""
        return self._public_key

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> VaultSigner:
        """Raises: NotImplementedError: always; a key ring makes these."""
        raise NotImplementedError

    def sign(self, payload: bytes) -> Signature:
        """The signature over a payload, DER in hex.

        Raises:
            KeyUnusable, Throttled, Unavailable: As ``KeyRing`` says.
        """
        with vault_errors(self._role, "sign"):
            result = self._client.sign(SignatureAlgorithm.es256, hashlib.sha256(payload).digest())
        r, s = int.from_bytes(result.signature[:_HALF]), int.from_bytes(result.signature[_HALF:])
        return Signature(self._public_key.keyid, encode_dss_signature(r, s).hex())


class VaultKeyRing:
    """The keys of a vault.

    Args:
        vault_url: ``https://<vault>.vault.azure.net``.
        credential: Of an identity with the role Groundswell Key Signer, or Reader, on each key.
    """

    def __init__(
        self, vault_url: str, credential: TokenCredential, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # A busy or closed vault is for the caller to wait for: the work is put off, and its function ends meanwhile.
        self._client = KeyClient(vault_url, credential, retry_status=0, retry_total=2)
        self._clock = clock
        self._lock = Lock()
        self._known: dict[KeyRole, tuple[float, list[VaultSigner]]] = {}
        self._signers: dict[str, VaultSigner] = {}

    def signer(self, role: KeyRole, named: Sequence[Key]) -> Signer:
        """The signer for the first of these public keys that is here for the role."""
        here = {signer.public_key.keyid: signer for signer in self._role(role)}
        for key in named:
            if key.keyid in here:
                return here[key.keyid]
        wanted = ", ".join(key.keyid[:12] for key in named) or "none"
        raise KeyUnusable(
            f"no enabled version of the key {role} in {self._client.vault_url} is one that the index names ({wanted}); "
            "enable that version, or have the key owners name another"
        )

    def newest(self, role: KeyRole) -> Signer:
        """The signer for the role's newest key."""
        if signers := self._role(role):
            return signers[0]
        raise KeyUnusable(
            f"{self._client.vault_url} has no enabled key {role}; make one: az keyvault key create --name {role} "
            "--kty EC --curve P-256 --ops sign verify"
        )

    def public_keys(self, role: KeyRole) -> list[Key]:
        """The public parts of all enabled versions of the role's key, the newest first."""
        return [signer.public_key for signer in self._role(role)]

    def _role(self, role: KeyRole) -> list[VaultSigner]:
        with self._lock:
            known_until, signers = self._known.get(role, (0.0, []))
            if self._clock() >= known_until:
                signers = self._read(role)
                self._known[role] = self._clock() + FRESH_S, signers
            return signers

    def _read(self, role: KeyRole) -> list[VaultSigner]:
        try:
            with vault_errors(role, "list"):
                listed = list(self._client.list_properties_of_key_versions(role))
        except _Missing:
            return []
        newest_first = sorted(enumerate(listed), key=lambda item: (item[1].created_on, item[0]), reverse=True)
        versions = [properties.version for _, properties in newest_first if properties.enabled]
        return [self._find(role, version) for version in versions if version is not None]

    def _find(self, role: KeyRole, version: str) -> VaultSigner:
        """The signer of a version, asked for once: a version never changes."""
        name = f"{role}/{version}"
        if name not in self._signers:
            with vault_errors(role, "get"):
                key = self._client.get_key(role, version)
                client = self._client.get_cryptography_client(role, key_version=version, retry_status=0)
            self._signers[name] = VaultSigner(role, _public_key(role, key), client)
        return self._signers[name]


class _Missing(PortError):
    """There is no key of that name."""


@contextmanager
def vault_errors(role: KeyRole, operation: str) -> Iterator[None]:
    """Turn every SDK error of the block into a ``PortError`` that names the key and says what to do."""
    try:
        yield
    except AzureError as error:
        raise _port_error(role, operation, error) from error


def _port_error(role: KeyRole, operation: str, error: AzureError) -> PortError:
    match error:
        case ResourceNotFoundError():
            return _Missing(f"the vault has no key {role}")
        case ClientAuthenticationError():
            return KeyRefused(
                f"the vault does not know who asks for the key {role}: give the app a managed identity, or set "
                "AZURE_CLIENT_ID to that of the one it has"
            )
        case HttpResponseError(status_code=403):
            return _forbidden(role, operation, error)
        case HttpResponseError(status_code=429):
            return throttled("key-vault", f"the vault is busy (key {role})", retry_after_s=_retry_after_s(error))
        case _:
            return Unavailable(f"the vault cannot be used for the key {role}: {type(error).__name__}")


def _forbidden(role: KeyRole, operation: str, error: HttpResponseError) -> PortError:
    if "KeyDisabled" in str(error.response.text() if error.response else error) or "disabled" in str(error):
        why = "is disabled in the vault; name another in the index, or enable it"
        return KeyUnusable(f"this version of the key {role} {why}")
    key = Resource(kind="key", name=role)
    return KeyRefused(explain_refusal(f"Key Vault ({operation} {role})", key, status=403).message)


def _retry_after_s(error: HttpResponseError) -> float | None:
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    told = headers.get("Retry-After")
    return float(told) if told and told.isdecimal() else None


def _public_key(role: KeyRole, key: KeyVaultKey) -> Key:
    # JsonWebKey sets its attributes from a list of names, which type checkers cannot see.
    web_key: Any = key.key
    if web_key.crv != "P-256" or not web_key.x or not web_key.y:
        raise KeyUnusable(
            f"the key {role} in the vault is {_word(web_key.kty)} {_word(web_key.crv)}, and ECDSA P-256 is needed; "
            f"make a new version: az keyvault key create --name {role} --kty EC --curve P-256"
        )
    numbers = EllipticCurvePublicNumbers(int.from_bytes(web_key.x), int.from_bytes(web_key.y), SECP256R1())
    return describe_public_key(numbers.public_key())


def _word(value: object) -> str:
    """An enumerated word of the SDK as it stands on the wire."""
    return str(getattr(value, "value", value or ""))
