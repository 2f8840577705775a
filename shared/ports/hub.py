"""IoT Hub, seen from the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from shared.domain.ids import DeviceId
from shared.ports.stored import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinWrite:
    """A merge patch of a twin's desired properties; a None value removes the property."""

    device: DeviceId
    desired: Mapping[str, Any]


class TwinOutcome(StrEnum):
    """How one twin write ended."""

    WRITTEN = "written"
    NO_DEVICE = "no_device"
    REFUSED = "refused"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinResult:
    """The outcome for one device, with the hub's own words where it refused."""

    device: DeviceId
    outcome: TwinOutcome
    detail: str = ""


class TwinWriter(Protocol):
    """Writes desired properties of up to 99 twins; adapters: parallel PATCH, and bulk."""

    def write(self, writes: Sequence[TwinWrite]) -> list[TwinResult]:
        """One result per write, in order. A throttled or unreachable hub is a result, never an exception.

        Raises:
            QuotaExceeded: The hub's daily quota is used up; some twins may have been written.
        """


class TwinReader(Protocol):
    """Reads twins one by one."""

    def read_reported(self, device: DeviceId) -> Mapping[str, Any] | None:
        """The reported section with its metadata; None where the device does not exist.

        Raises:
            PortError: The hub cannot answer now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTwin:
    """What a twin tells about the device's row in ``devices``.

    Attributes:
        sequence: The highest that was offered to it, or that it reported; 0 where none was.
    """

    device: DeviceId
    sequence: int
    installed: Mapping[str, str]
    hardware: str


class TwinLister(Protocol):
    """Goes through all twins."""

    def list_twins(self, continuation: str = "") -> Page[KnownTwin]:
        """One page of them, in the hub's order.

        Raises:
            PortError: The hub cannot answer now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePage(Page[DeviceId]):
    """A page of devices, and what some of them say they are.

    Attributes:
        hardware: Of devices whose twins the query hands out and that say it; as old as queries are, up to minutes.
    """

    hardware: Mapping[DeviceId, str] = field(default_factory=dict)


class DeviceDirectory(Protocol):
    """Lists devices by query."""

    def list_page(self, query: str, continuation: str = "") -> DevicePage:
        """One page of device ids, in the hub's order.

        Raises:
            DomainError: The hub refuses the query (code ``query_refused``).
            PortError: The hub cannot answer now.
        """
