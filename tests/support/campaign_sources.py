"""Where campaigns get their packages and devices from, in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId, package_name
from shared.domain.packages import Package, PackageKind, PackageState, RegisteredPackage
from shared.domain.versions import Version
from shared.ports.hub import DevicePage
from tests.support.memory_packages import MemoryPackages

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Packages(MemoryPackages):
    """``thermostat 2.0.0`` published and ``thermostat 3.0.0`` only accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.publish("thermostat", "2.0.0")
        self.create(RegisteredPackage(package=_package("3.0.0"), state=PackageState.ACCEPTED, accepted_at=NOON))

    def publish(
        self, name: str, version: str, hardware: tuple[str, ...] = ("t1", "t2"), *, length_bytes: int = 4096
    ) -> None:
        """Add a published package; one without hardware is for every device."""
        package = replace(
            _package(version),
            name=package_name(name),
            compatibility={"hardware": hardware} if hardware else {},
            length_bytes=length_bytes,
        )
        self.create(RegisteredPackage(package=package, state=PackageState.PUBLISHED, accepted_at=NOON))


def _package(version: str) -> Package:
    return Package(
        name=package_name("thermostat"),
        version=Version(version),
        kind=PackageKind.FIRMWARE,
        length_bytes=4096,
        sha256="0" * 64,
        created=NOON,
        compatibility={"hardware": ("t1", "t2")},
    )


_AMONG = re.compile(
    r"(?P<query>SELECT \* FROM devices WHERE )\((?P<condition>.*)\) AND \(deviceId IN \[(?P<names>.*)\]\)"
)


class MemoryDirectory:
    """A ``DeviceDirectory``: a query finds every device, one with the word BROKEN is refused.

    Attributes:
        answers: What queries find that do not find every device; narrowed to ids, those of them.
        hardware: What devices' twins say they are, where queries hand out twins.
    """

    def __init__(self, devices: Iterable[str] = (), page_size: int = 100) -> None:
        self.devices = [DeviceId(device) for device in devices]
        self.page_size = page_size
        self.answers: dict[str, list[str]] = {}
        self.hardware: dict[DeviceId, str] = {}
        self.failures: list[Exception] = []

    def list_page(self, query: str, continuation: str = "") -> DevicePage:
        if self.failures:
            raise self.failures.pop(0)
        if "BROKEN" in query:
            raise DomainError("the IoT Hub refuses the query: BROKEN", code="query_refused")
        found = self._find(query)
        start = int(continuation or 0)
        stop = start + self.page_size
        more = str(stop) if stop < len(found) else ""
        items = tuple(found[start:stop])
        hardware = {device: self.hardware[device] for device in items if self.hardware.get(device)}
        return DevicePage(items=items, continuation=more, hardware=hardware)

    def _find(self, query: str) -> list[DeviceId]:
        if (narrowed := _AMONG.fullmatch(query)) is None:
            return [DeviceId(device) for device in self.answers.get(query, self.devices)]
        named = {name.strip(" '") for name in narrowed["names"].split(",")}
        return [device for device in self._find(narrowed["query"] + narrowed["condition"]) if device in named]
