"""What a service may do with the hub: identities, twins, methods, messages."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

from emulator.hub import twins
from emulator.hub.commands import DEFAULT_TTL, Command, CommandQueue
from emulator.hub.core import Hub
from emulator.hub.devices import Device, Identity
from emulator.hub.errors import HubError
from emulator.hub.events import EventKind, OpType
from emulator.hub.links import DeviceLink
from emulator.hub.methods import MethodAnswer, MethodCall
from emulator.hub.registry import ANY_ETAG, check_etag
from emulator.hub.throttle import METER_BYTES, Operation
from emulator.hub.twins import ServicePatch, Twin, TwinChange
from emulator.hub.views import write_twin_event


class ServiceApi:
    """The hub, seen by a service that has been authorised. Admission by the throttles is part of each call, but for
    the methods whose names end in ``_admitted``: a bulk call is admitted as a whole.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def get_device(self, device_id: str) -> Device:
        self.hub.throttle.admit(Operation.REGISTRY)
        return self.hub.registry.get(device_id)

    def list_devices(self, count: int) -> list[Device]:
        self.hub.throttle.admit(Operation.REGISTRY)
        return self.hub.registry.after(0, count)

    def create_device(self, device_id: str, identity: Identity) -> Device:
        self.hub.throttle.admit(Operation.REGISTRY)
        return self.create_admitted(device_id, identity)

    def update_device(self, device_id: str, identity: Identity, if_match: str) -> Device:
        self.hub.throttle.admit(Operation.REGISTRY)
        return self.update_admitted(device_id, identity, if_match)

    def delete_device(self, device_id: str, if_match: str) -> None:
        self.hub.throttle.admit(Operation.REGISTRY)
        self.delete_admitted(device_id, if_match)

    def create_admitted(self, device_id: str, identity: Identity, twin: ServicePatch | None = None) -> Device:
        """Register a device, with tags and desired properties if given."""
        device_twin = Twin()
        if twin is not None and (twin.tags is not None or twin.desired is not None):
            device_twin = twins.patch_by_service(device_twin, twin, self.hub.clock()).twin
        device = self.hub.registry.create(device_id, identity)
        device.twin = device_twin
        self._notify_lifecycle(device, OpType.CREATE_DEVICE)
        return device

    def update_admitted(self, device_id: str, identity: Identity, if_match: str = ANY_ETAG) -> Device:
        """Set a device's identity; one that is disabled or has other keys is disconnected."""
        before = self.hub.registry.get(device_id).identity.credentials
        device = self.hub.registry.update(device_id, identity, if_match)
        if not device.enabled or device.identity.credentials != before:
            self.hub.close_link(device, "the device was disabled or its credentials were changed")
        return device

    def delete_admitted(self, device_id: str, if_match: str = ANY_ETAG) -> None:
        device = self.hub.registry.delete(device_id, if_match)
        self.hub.close_link(device, "the device was deleted")
        self._notify_lifecycle(device, OpType.DELETE_DEVICE)

    def get_twin(self, device_id: str) -> Device:
        device = self.hub.registry.get(device_id)
        self.hub.throttle.admit(Operation.TWIN_READ)
        twin = device.twin
        self.hub.throttle.meter(twin.tags.size_bytes + twin.desired.size_bytes + twin.reported.size_bytes)
        return device

    def patch_twin(self, device_id: str, patch: ServicePatch, if_match: str = ANY_ETAG) -> Device:
        self.hub.throttle.admit(Operation.TWIN_UPDATE)
        return self.patch_twin_admitted(device_id, patch, if_match)

    def patch_twin_admitted(self, device_id: str, patch: ServicePatch, if_match: str = ANY_ETAG) -> Device:
        device = self._writable(device_id, if_match)
        change = twins.patch_by_service(device.twin, patch, self.hub.clock())
        self._apply(device, change)
        self.hub.events.notify(EventKind.TWIN_CHANGE, device_id, OpType.UPDATE_TWIN, change.body)
        return device

    def replace_twin(self, device_id: str, document: ServicePatch, if_match: str = ANY_ETAG) -> Device:
        self.hub.throttle.admit(Operation.TWIN_UPDATE)
        return self.replace_twin_admitted(device_id, document, if_match)

    def replace_twin_admitted(self, device_id: str, document: ServicePatch, if_match: str = ANY_ETAG) -> Device:
        device = self._writable(device_id, if_match)
        self._apply(device, twins.replace_by_service(device.twin, document, self.hub.clock()))
        self.hub.events.notify(EventKind.TWIN_CHANGE, device_id, OpType.REPLACE_TWIN, write_twin_event(device))
        return device

    async def invoke_method(self, device_id: str, call: MethodCall) -> MethodAnswer:
        """Call a direct method.

        Raises:
            HubError: 404001, 404103, 504101, 429001.
        """
        self.hub.registry.get(device_id)
        self.hub.throttle.admit(Operation.METHOD, 1 + len(call.payload) // METER_BYTES)
        self.hub.throttle.meter(len(call.payload))
        return await self.hub.methods.invoke(device_id, call)

    def send_cloud_to_device(
        self,
        device_id: str,
        body: bytes,
        properties: Mapping[str, str] | None = None,
        ttl: timedelta = DEFAULT_TTL,
    ) -> str:
        """Queue a cloud-to-device message; its id.

        Raises:
            HubError: 404001, 413001, 403004 where 50 are waiting, 429001.
        """
        device = self.hub.registry.get(device_id)
        self.hub.throttle.admit(Operation.COMMAND)
        now = self.hub.clock()
        command = Command(message_id=str(uuid4()), body=body, properties=properties or {}, expires_at=now + ttl)
        device.commands = device.commands if device.commands is not None else CommandQueue()
        device.commands.add(command, now)
        self.hub.throttle.meter(len(body))
        if link := self._link(device):
            link.deliver(command)
        return command.message_id

    def purge_commands(self, device_id: str) -> int:
        """Drop a device's pending messages; how many there were."""
        device = self.hub.registry.get(device_id)
        return device.commands.purge() if device.commands else 0

    def _writable(self, device_id: str, if_match: str) -> Device:
        device = self.hub.registry.get(device_id)
        check_etag(device.twin.etag, if_match)
        return device

    def _apply(self, device: Device, change: TwinChange) -> None:
        self.hub.throttle.meter(change.twin.desired.size_bytes - device.twin.desired.size_bytes)
        device.twin = change.twin
        link = self._link(device)
        if change.desired is not None and link is not None:
            _try_meter(self.hub)
            link.notify_desired(change.desired)

    def _link(self, device: Device) -> DeviceLink | None:
        return self.hub.links.get(device.device_id)

    def _notify_lifecycle(self, device: Device, op_type: OpType) -> None:
        self.hub.events.notify(EventKind.DEVICE_LIFECYCLE, device.device_id, op_type, write_twin_event(device))


def _try_meter(hub: Hub) -> None:
    """Charge a notification; what was already written is not refused for it."""
    try:
        hub.throttle.meter()
    except HubError:
        return
