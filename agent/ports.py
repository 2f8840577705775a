"""What the agent needs of the outside, and the errors the outside may answer with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, Protocol

from agent.codes import Code
from agent.decisions import IndexView
from agent.memory import Memory
from shared.domain.ids import DeviceId
from shared.domain.packages import PackageKind


class OutsideError(Exception):
    """The outside did not do what was asked."""


class ChannelDown(OutsideError):
    """The hub cannot be reached, or did not answer in time."""


class ChannelUnauthorized(ChannelDown):
    """The hub does not let the device in: unknown, disabled, or with another key."""


class ChannelThrottled(OutsideError):
    """The hub took the request and refused it for now (429 or 5xx)."""


class ChannelRefused(OutsideError):
    """The hub will never take this request (400 and the like)."""


class RegistrationRefused(OutsideError):
    """The Device Provisioning Service does not take the device; somebody may mend that, so it is asked again."""


class RegistrationPutOff(OutsideError):
    """The Device Provisioning Service asked to wait.

    Attributes:
        retry_after_s: Seconds it named; 0 where it did not.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Reassigned(Exception):
    """The device is another one from now on: all that was built for the one before has to be built anew."""


class IndexUnavailable(OutsideError):
    """The index could not be fetched; a later attempt may succeed.

    Attributes:
        retry_after_s: Seconds the server asked to wait; 0 where it did not.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class IndexRefused(OutsideError):
    """The index was fetched and must not be believed."""


class TransferBroken(OutsideError):
    """A download broke off; a later attempt may go on from there."""


class TransferPaused(OutsideError):
    """The service asked to wait.

    Attributes:
        retry_after_s: Seconds it named.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"the service asks to wait {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class TransferCancelled(OutsideError):
    """The service says that the offer no longer stands."""


class TransferRefused(OutsideError):
    """No further attempt can succeed.

    Attributes:
        code: What the rollout fails with.
    """

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class InstallFailed(OutsideError):
    """A handler could not install the package. Its text ends as the report's detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredChanged:
    """The hub sent a patch of the desired properties, ``$version`` included."""

    patch: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLost:
    """The connection to the hub ended.

    Attributes:
        session: Number of the connection that ended, as ``TwinChannel.open`` returned it.
    """

    session: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """Somebody wants the process to end."""


type Event = DesiredChanged | ChannelLost | StopRequested


class TwinChannel(Protocol):
    """The device's twin at the hub. No call takes longer than the channel's own time limit."""

    def open(self, on_event: Callable[[Event], None]) -> int:
        """Connect and subscribe to desired patches; the number of this connection.

        ``on_event`` may be called on any thread. Raises ChannelDown, ChannelUnauthorized.
        """

    def get_twin(self) -> Mapping[str, Any]:
        """The twin as ``{"desired": …, "reported": …}``. Raises ChannelDown, ChannelThrottled."""

    def report(self, document: Mapping[str, Any]) -> None:
        """Patch the reported properties and return once the hub accepted.

        Raises ChannelDown, ChannelThrottled, ChannelRefused.
        """

    def introduce(self, hardware: str) -> None:
        """Say in the reported properties what the device is, and return once the hub accepted.

        Raises ChannelDown, ChannelThrottled, ChannelRefused.
        """

    def close(self) -> None:
        """End the connection, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What the Device Provisioning Service has decided.

    Attributes:
        hub: Host name of the hub.
        device: The device's id there.
    """

    hub: str
    device: DeviceId


class Registrar(Protocol):
    """A Device Provisioning Service, asked about this device."""

    def register(self) -> Assignment:
        """Register the device and wait for its assignment.

        Raises ChannelDown, RegistrationRefused, RegistrationPutOff.
        """


class AssignmentStore(Protocol):
    """Keeps the assignment over restarts."""

    def read(self) -> Assignment | None:
        """The assignment last written; None where there is none that can be used."""

    def write(self, assignment: Assignment) -> None:
        """Replace it, atomically and durably. Raises OSError."""


class IndexClient(Protocol):
    """The signed index."""

    def look_up(self, path: str) -> IndexView:
        """The refreshed, verified index's word on a package. Raises IndexUnavailable, IndexRefused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A package to fetch and the right to fetch it."""

    path: str
    length_bytes: int
    sha256: str
    ticket: str


class LogUpload(Protocol):
    """Takes the log of a rollout that failed to the service."""

    def upload(self, content: bytes, ticket: str) -> None:
        """Send it once. Raises TransferBroken."""


class Transfer(Protocol):
    """Fetches package contents into a folder that outlives the process."""

    def attempt(self, wanted: Wanted, checkpoint: Callable[[], None]) -> None:
        """Exchange the ticket and fetch what is missing; return once the content is complete and verified.

        ``checkpoint`` is called between pieces and may raise to break off; what was fetched is kept.
        Raises TransferBroken, TransferPaused, TransferCancelled, TransferRefused.
        """

    def find_content(self, sha256: str) -> Path | None:
        """The complete content with that digest, verified anew; None where there is none."""

    def discard_all(self) -> None:
        """Delete all contents, complete or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A package's verified content on this device's disk.

    Attributes:
        file: Its bytes; the handler must not change or keep the file.
    """

    file: Path
    name: str
    version: str
    length_bytes: int
    sha256: str


class Handler(Protocol):
    """Installs packages of one kind."""

    @property
    def kind(self) -> PackageKind:
        """The kind it installs."""

    def is_ready(self) -> bool:
        """Whether the device has what the handler needs."""

    def install(self, content: Content, slot: Path, installed: Mapping[str, str]) -> Mapping[str, str]:
        """Install into the slot folder and return the slot's package names and versions from then on.

        The slot is a copy of the active one, holding ``installed``; nothing runs from it yet. Whatever the handler
        writes must be on disk when it returns or be reached by the sync of the whole slot that follows.
        Raises InstallFailed.
        """


class Slots(Protocol):
    """The A/B slots of the device."""

    def active(self) -> str:
        """Name of the slot the device runs from."""

    def inactive(self) -> str:
        """Name of the other one."""

    def folder(self, slot: str) -> Path:
        """The folder of a slot."""

    def installed(self, slot: str) -> Mapping[str, str]:
        """Package name to version in a slot."""

    def copy_active(self, *, room_bytes: int = 0) -> str:
        """Make the inactive slot a copy of the active one, with that much room left; its name. Raises OSError."""

    def discard_inactive(self) -> None:
        """Remove what the inactive slot holds."""

    def seal(self, slot: str, installed: Mapping[str, str]) -> None:
        """Write what is installed in a slot and bring all of it to the disk."""

    def activate(self, slot: str) -> None:
        """Run from that slot from the next restart on; atomic and durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the health command said.

    Attributes:
        detail: Tail of its output, and how it ended.
    """

    is_healthy: bool
    detail: str


class HealthCheck(Protocol):
    """Tells whether the software in a slot works."""

    def examine(self, slot: Path, *, name: str, version: str) -> Health:
        """Run the check to its end or to its time limit."""


class Restarter(Protocol):
    """Restarts the device, or what stands for it."""

    @property
    def boot_id(self) -> str:
        """Names the present boot; another value after every restart."""

    def restart(self) -> NoReturn:
        """Restart; the process ends here."""


class Journal(Protocol):
    """Keeps the memory."""

    def read(self) -> Memory:
        """The memory last written; an empty one on a new device."""

    def write(self, memory: Memory) -> None:
        """Replace it, atomically and durably."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Aware UTC."""

    def monotonic_s(self) -> float:
        """Seconds on a clock nobody sets."""
