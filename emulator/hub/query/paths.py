"""What a path in a query stands for."""

from collections.abc import Callable, Mapping
from typing import Any

from emulator.hub.devices import Device
from emulator.hub.documents import Section
from emulator.hub.errors import invalid
from emulator.hub.query.syntax import Constant, Operand, Path
from emulator.hub.views import write_section, write_twin


class _Undefined:
    """Neither true nor false, equal to nothing."""


UNDEFINED: Any = _Undefined()
type Getter = Callable[[Device], Any]
_READ_ONLY_PARTS = ("$metadata", "$version")


def operand_getter(operand: Operand) -> Getter:
    """The value of an operand for a device.

    Raises:
        HubError: 400004, a path that no twin has.
    """
    if isinstance(operand, Constant):
        value = operand.value
        return lambda _: value
    return path_getter(operand)


_ROOTS: Mapping[str, Getter] = {
    "deviceid": lambda device: device.device_id,
    "status": lambda device: device.identity.status.value,
    "connectionstate": lambda device: device.connection_state,
    "etag": lambda device: device.twin.etag,
    "version": lambda device: device.twin.version,
    "lastactivitytime": lambda device: write_twin(device)["lastActivityTime"],
    "statusupdatetime": lambda device: write_twin(device)["statusUpdateTime"],
}
"""Names are compared without case, as the reference writes them both ways; keys of properties with it."""


def path_getter(path: Path) -> Getter:
    """The value at a path of a device's twin; ``UNDEFINED`` where the twin lacks it.

    Raises:
        HubError: 400004, a path that no twin has.
    """
    root, *rest = path.parts
    if root.lower() == "tags":
        return _in_section(lambda device: device.twin.tags, rest)
    if root.lower() == "properties" and rest and rest[0] in ("desired", "reported"):
        if rest[0] == "desired":
            return _in_section(lambda device: device.twin.desired, rest[1:])
        return _in_section(lambda device: device.twin.reported, rest[1:])
    getter = _ROOTS.get(root.lower())
    if getter is None or rest:
        raise invalid(f"The query names {'.'.join(path.parts)!r}, which is no property of a twin")
    return getter


def _in_section(section: Callable[[Device], Section], keys: list[str]) -> Getter:
    whole = not keys or keys[0] in _READ_ONLY_PARTS

    def value(device: Device) -> Any:
        found: Any = write_section(section(device)) if whole else section(device).values
        for key in keys:
            if not isinstance(found, Mapping) or key not in found:
                return UNDEFINED
            found = found[key]
        return found

    return value
