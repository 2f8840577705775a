"""A device in the identity registry."""

import base64
import binascii
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
    """What a service may set on a device. Keys are base64."""

    status: Status = Status.ENABLED
    status_reason: str | None = None
    primary_key: str
    secondary_key: str


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
    def keys(self) -> tuple[str, str]:
        return (self.identity.primary_key, self.identity.secondary_key)


_KEY_BYTES = range(16, 65)
"""IoT Hub REST reference, SymmetricKey: 16 to 64 bytes."""
_REASON_LENGTH = 128


def read_identity(document: Mapping[str, Any], before: Identity | None = None) -> Identity:
    """The identity in a request body; keys are made, or kept from ``before``, where it names none.

    Raises:
        HubError: 400004, also for the X.509 authentication that this hub does not have.
    """
    authentication = document.get("authentication") or {}
    if authentication.get("type", "sas") not in ("sas", None):
        raise invalid("this hub knows symmetric keys only (authentication type 'sas')")
    keys = authentication.get("symmetricKey") or {}
    primary, secondary = keys.get("primaryKey"), keys.get("secondaryKey")
    if bool(primary) != bool(secondary):
        raise invalid("the primary and the secondary key come together")
    return Identity(
        status=_read_status(document.get("status")),
        status_reason=_read_reason(document.get("statusReason")),
        primary_key=_read_key(primary) if primary else before.primary_key if before else new_key(),
        secondary_key=_read_key(secondary) if secondary else before.secondary_key if before else new_key(),
    )


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
