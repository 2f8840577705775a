"""The hub's state, shared by the service side (REST) and the device side (MQTT)."""

from dataclasses import dataclass

from emulator.hub.clock import Clock, utc_now
from emulator.hub.config import HubConfig
from emulator.hub.devices import Device
from emulator.hub.events import EventEmitter, EventSink, OpType
from emulator.hub.links import DeviceLink
from emulator.hub.methods import MethodCalls
from emulator.hub.policies import AccessPolicies
from emulator.hub.query.view import QueryView
from emulator.hub.registry import Registry
from emulator.hub.throttle import Throttle


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStatistics:
    """A look at the hub.

    Attributes:
        admitted, throttled: operations by the names of the throttle table.
        messages_today: metered messages of 4 KB.
    """

    devices: int
    disabled: int
    connected: int
    admitted: dict[str, int]
    throttled: dict[str, int]
    messages_today: int


class Hub:
    """Everything that is not wire.

    Args:
        host_names: the names (lower case) for which tokens may be made.
    """

    def __init__(
        self,
        config: HubConfig,
        *,
        policies: AccessPolicies | None = None,
        sink: EventSink | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.config = config
        self.clock = clock
        self.policies = policies or AccessPolicies()
        self.host_names = frozenset({"localhost", f"{config.name}.azure-devices.net".lower()})
        self.throttle = Throttle(config, clock=clock)
        self.registry = Registry(clock)
        self.query_view = QueryView(self.registry)
        self.events = EventEmitter(config.name, clock, sink)
        self.links: dict[str, DeviceLink] = {}
        self.methods = MethodCalls(self.links)

    def attach(self, device: Device, link: DeviceLink) -> None:
        """Take a device's new connection; an older one of the same device is closed."""
        self.close_link(device, "another connection of the same device")
        self.links[device.device_id] = link
        self._note_connection(device, OpType.CONNECTED)

    def detach(self, device: Device, link: DeviceLink) -> None:
        """A connection has ended by itself."""
        if self.links.get(device.device_id) is link:
            self._unlink(device)

    def close_link(self, device: Device, reason: str) -> None:
        """End a device's connection, if it has one."""
        link = self.links.get(device.device_id)
        if link is not None:
            self._unlink(device)
            link.close(reason)

    def statistics(self) -> HubStatistics:
        return HubStatistics(
            devices=len(self.registry),
            disabled=self.registry.disabled_count,
            connected=len(self.links),
            admitted={operation.value: count for operation, count in self.throttle.admitted.items()},
            throttled={operation.value: count for operation, count in self.throttle.refused.items()},
            messages_today=self.throttle.messages_today,
        )

    def _unlink(self, device: Device) -> None:
        del self.links[device.device_id]
        self.methods.device_gone(device.device_id)
        self._note_connection(device, OpType.DISCONNECTED)

    def _note_connection(self, device: Device, op_type: OpType) -> None:
        device.connected = op_type is OpType.CONNECTED
        device.connection_updated_at = device.active_at = self.clock()
        self.events.notify_connection(device.device_id, op_type)
