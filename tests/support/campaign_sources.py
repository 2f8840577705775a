"""Where campaigns get their packages and devices from, in memory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId, package_name
from shared.domain.packages import Package, PackageKind, PackageState, RegisteredPackage
from shared.domain.versions import Version
from shared.ports.errors import NotThere
from shared.ports.stored import Page, Stored

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class OnePackage:
    """A ``PackageStore`` with ``thermostat 2.0.0`` published and ``thermostat 3.0.0`` only accepted."""

    def get(self, name: str, version: str) -> Stored[RegisteredPackage]:
        states = {"2.0.0": PackageState.PUBLISHED, "3.0.0": PackageState.ACCEPTED}
        if name != "thermostat" or version not in states:
            raise NotThere(f"{name} {version}")
        package = Package(
            name=package_name(name),
            version=Version(version),
            kind=PackageKind.FIRMWARE,
            length_bytes=4096,
            sha256="0" * 64,
            created=NOON,
            compatibility={"hardware": ("t1", "t2")},
        )
        return Stored(value=RegisteredPackage(package=package, state=states[version], accepted_at=NOON), etag="1")


class MemoryDirectory:
    """A ``DeviceDirectory``: every query finds every device, one with the word BROKEN is refused."""

    def __init__(self, devices: Iterable[str] = (), page_size: int = 100) -> None:
        self.devices = [DeviceId(device) for device in devices]
        self.page_size = page_size
        self.failures: list[Exception] = []

    def list_page(self, query: str, continuation: str = "") -> Page[DeviceId]:
        if self.failures:
            raise self.failures.pop(0)
        if "BROKEN" in query:
            raise DomainError("the IoT Hub refuses the query: BROKEN", code="query_refused")
        start = int(continuation or 0)
        stop = start + self.page_size
        more = str(stop) if stop < len(self.devices) else ""
        return Page(items=tuple(self.devices[start:stop]), continuation=more)
