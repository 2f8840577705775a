"""A device in the identity registry."""

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from emulator.hub.commands import CommandQueue
from emulator.hub.errors import invalid
from emulator.hub.policies import new_key
from emulator.hub.twins import Twin


class Status(StrEnum):
    """Whether a device may connect."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a service may set on a device. Keys are base64.

    Attributes:
        thumbprints: of the certificates it signs in with, SHA-1 or SHA-256 in hex; empty where it has keys.
    """

    status: Status = Status.ENABLED
    status_reason: str | None = None
    primary_key: str
    secondary_key: str
    thumbprints: tuple[str, ...] = ()

    @property
    def credentials(self) -> tuple[str, ...]:
        """What it signs in with."""
        return self.thumbprints or (self.primary_key, self.secondary_key)


def new_etag() -> str:
    """Base64 of random digits, as device etags look."""
    return base64.b64encode(str(secrets.randbelow(10**9)).encode()).decode()


@dataclass(slots=True, kw_only=True)
class Device:
    """One registered device.

    Attributes:
        serial: its place in the order of creation.
        generation_id: tells a device from a later one of the same id.
        commands: pending cloud-to-device messages; None until the first.
        subscriptions: topic filters that outlive the connection (MQTT without clean session); None without any.
    """

    device_id: str
    serial: int
    identity: Identity
    generation_id: str
    twin: Twin = field(default_factory=Twin)
    etag: str = field(default_factory=new_etag)
    status_updated_at: datetime | None = None
    connected: bool = False
    connection_updated_at: datetime | None = None
    active_at: datetime | None = None
    commands: CommandQueue | None = None
    subscriptions: set[str] | None = None

    @property
    def connection_state(self) -> str:
        return "Connected" if self.connected else "Disconnected"

    @property
    def enabled(self) -> bool:
        return self.identity.status is Status.ENABLED

    @property
    def keys(self) -> tuple[str, ...]:
        """None where it has certificates."""
        return () if self.identity.thumbprints else self.identity.credentials

    def owns(self, certificate: bytes) -> bool:
        """Whether it signs in with this certificate (DER)."""
        digests = {hashlib.new(kind, certificate).hexdigest().upper() for kind in ("sha1", "sha256")}
        return not digests.isdisjoint(self.identity.thumbprints)


_KEY_BYTES = range(16, 65)
"""IoT Hub REST reference, SymmetricKey: 16 to 64 bytes."""
_REASON_LENGTH = 128
_THUMBPRINT = re.compile("[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")


def read_identity(document: Mapping[str, Any], before: Identity | None = None) -> Identity:
    """The identity in a request body; keys are made, or kept from ``before``, where it names none.

    Raises:
        HubError: 400004, also for authorities of X.509, which this hub does not have.
    """
    authentication = document.get("authentication") or {}
    if authentication.get("type") not in ("sas", "selfSigned", None):
        raise invalid("this hub knows symmetric keys ('sas') and thumbprints ('selfSigned')")
    by_certificate = authentication.get("type") == "selfSigned"
    keys = authentication.get("symmetricKey") or {}
    primary, secondary = keys.get("primaryKey"), keys.get("secondaryKey")
    if bool(primary) != bool(secondary):
        raise invalid("the primary and the secondary key come together")
    return Identity(
        status=_read_status(document.get("status")),
        status_reason=_read_reason(document.get("statusReason")),
        primary_key=_read_key(primary) if primary else before.primary_key if before else new_key(),
        secondary_key=_read_key(secondary) if secondary else before.secondary_key if before else new_key(),
        thumbprints=_read_thumbprints(authentication.get("x509Thumbprint") or {}) if by_certificate else (),
    )


def _read_thumbprints(document: Mapping[str, Any]) -> tuple[str, ...]:
    found = tuple(str(document[name]) for name in ("primaryThumbprint", "secondaryThumbprint") if document.get(name))
    if not found or not all(_THUMBPRINT.fullmatch(each) for each in found):
        raise invalid("x509Thumbprint has 40 or 64 hex digits")
    return tuple(each.upper() for each in found)


def _read_status(value: Any) -> Status:
    try:
        return Status(value or Status.ENABLED)
    except ValueError:
        raise invalid("status is 'enabled' or 'disabled'") from None


def _read_reason(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > _REASON_LENGTH):
        raise invalid(f"statusReason has at most {_REASON_LENGTH} characters")
    return value


def _read_key(value: Any) -> str:
    try:
        if len(base64.b64decode(value, validate=True)) in _KEY_BYTES:
            return str(value)
    except (binascii.Error, TypeError, ValueError):
        pass
    raise invalid("a symmetric key is base64 of 16 to 64 bytes")
