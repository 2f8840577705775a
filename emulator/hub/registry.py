"""The identity registry: devices by id, and in the order of their creation."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from emulator.hub.clock import Clock
from emulator.hub.devices import Device, Identity, new_etag
from emulator.hub.errors import Code, HubError
from emulator.hub.limits import check_device_id

ANY_ETAG = "*"
_FIRST_GENERATION = 638_000_000_000_000_000
"""Generation ids look like .NET ticks; ours only have to differ and to rise."""


class Registry:
    """Holds the devices; raises :class:`HubError` where the real registry would refuse."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._devices: dict[str, Device] = {}
        self._by_serial: list[Device] = []
        self._next_serial = 1
        self._disabled = 0

    def __len__(self) -> int:
        return len(self._devices)

    @property
    def disabled_count(self) -> int:
        return self._disabled

    def find(self, device_id: str) -> Device | None:
        return self._devices.get(device_id)

    def get(self, device_id: str) -> Device:
        """The device.

        Raises:
            HubError: 404001.
        """
        device = self._devices.get(device_id)
        if device is None:
            raise HubError(Code.DEVICE_NOT_FOUND, f"Device {device_id} not registered")
        return device

    def create(self, device_id: str, identity: Identity) -> Device:
        """Register a device.

        Raises:
            HubError: 400004 for the id, 409001 where it is taken.
        """
        check_device_id(device_id)
        if device_id in self._devices:
            raise HubError(Code.DEVICE_EXISTS, f"Device {device_id} already registered")
        device = Device(
            device_id=device_id,
            serial=self._next_serial,
            identity=identity,
            generation_id=str(_FIRST_GENERATION + self._next_serial),
        )
        self._next_serial += 1
        self._devices[device_id] = device
        self._by_serial.append(device)
        self._disabled += not device.enabled
        return device

    def restore(self, devices: Iterable[Device]) -> None:
        """Take back devices that a registry held before the process ended, in the order of their creation."""
        for device in devices:
            self._devices[device.device_id] = device
            self._by_serial.append(device)
            self._disabled += not device.enabled
            self._next_serial = device.serial + 1

    def update(self, device_id: str, identity: Identity, if_match: str = ANY_ETAG) -> Device:
        """Set a device's identity.

        Raises:
            HubError: 404001, 412002.
        """
        device = self.get(device_id)
        check_etag(device.etag, if_match)
        if identity.status is not device.identity.status:
            device.status_updated_at = self._clock()
        self._disabled -= not device.enabled
        device.identity, device.etag = replace(identity), new_etag()
        self._disabled += not device.enabled
        return device

    def delete(self, device_id: str, if_match: str = ANY_ETAG) -> Device:
        """Remove a device.

        Raises:
            HubError: 404001, 412002.
        """
        device = self.get(device_id)
        check_etag(device.etag, if_match)
        del self._devices[device_id]
        del self._by_serial[bisect_left(self._by_serial, device.serial, key=_serial)]
        self._disabled -= not device.enabled
        return device

    def after(self, serial: int, count: int) -> list[Device]:
        """Up to ``count`` devices created after the one with this serial number."""
        return devices_after(self._by_serial, serial, count)

    def __iter__(self) -> Iterator[Device]:
        return iter(self._by_serial)


def _serial(device: Device) -> int:
    return device.serial


def devices_after(devices: Sequence[Device], serial: int, count: int) -> list[Device]:
    """Of devices in the order of their creation, up to ``count`` after the one with this serial number."""
    start = bisect_right(devices, serial, key=_serial)
    return list(devices[start : start + count])


def check_etag(etag: str, if_match: str) -> None:
    """Compare with an ``If-Match`` header: ``*``, or the etag with or without quotes.

    Raises:
        HubError: 412002.
    """
    wanted = if_match.removeprefix("W/").strip('"')
    if wanted not in (ANY_ETAG, etag):
        raise HubError(Code.PRECONDITION_FAILED, "Precondition failed: Invalid ETag")
