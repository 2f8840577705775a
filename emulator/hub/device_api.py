"""What a connected device may do with the hub."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from emulator.hub import limits, twins
from emulator.hub.core import Hub
from emulator.hub.devices import Device
from emulator.hub.documents import Json
from emulator.hub.errors import Code, HubError, invalid
from emulator.hub.events import EventKind, OpType
from emulator.hub.methods import MethodAnswer
from emulator.hub.sas import BadSignature, read_token
from emulator.hub.throttle import Operation
from emulator.hub.views import write_twin_for_device


class DeviceApi:
    """The hub, seen by devices."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def authenticate(
        self, device_id: str, host_name: str, password: str, certificate: bytes | None = None
    ) -> tuple[Device, datetime]:
        """The device that this password, or where there is none this certificate, belongs to; and until when it is in.

        Args:
            certificate: what TLS has verified (DER).

        Raises:
            BadSignature: It is neither a token made with the device's key nor its certificate, or the device is
                unknown or disabled.
        """
        device = self.hub.registry.find(device_id)
        if device is None or not device.enabled:
            raise BadSignature("the device is unknown or disabled")
        if not password and certificate is not None:
            return self._know(device, host_name, certificate), datetime.max.replace(tzinfo=UTC)
        token = read_token(password)
        signed_host, _, path = token.resource.partition("/")
        if signed_host.lower() != host_name.lower() or host_name.lower() not in self.hub.host_names:
            raise BadSignature("the token is for another hub")
        if path != f"devices/{device_id}":
            raise BadSignature("the token is for another device")
        token.check(device.keys, self.hub.clock())
        return device, token.expires_at

    def _know(self, device: Device, host_name: str, certificate: bytes) -> Device:
        if host_name.lower() not in self.hub.host_names or not device.owns(certificate):
            raise BadSignature("the certificate is not the device's")
        return device

    def get_twin(self, device: Device) -> Json:
        """The device's own view of its twin.

        Raises:
            HubError: 429001, 403002.
        """
        self.hub.throttle.admit(Operation.TWIN_READ)
        self.hub.throttle.meter(device.twin.desired.size_bytes + device.twin.reported.size_bytes)
        return write_twin_for_device(device.twin)

    def patch_reported(self, device: Device, payload: bytes, base_version: int | None = None) -> int:
        """Merge a patch into the reported properties; their new ``$version``.

        Args:
            base_version: the ``$version`` that the device builds on; None for whatever it is.

        Raises:
            HubError: 429001, 403002, 412002, 400004 (``TwinTooLarge`` for the size).
        """
        self.hub.throttle.admit(Operation.TWIN_UPDATE)
        self.hub.throttle.meter(len(payload))
        if base_version not in (None, device.twin.reported.version):
            raise HubError(Code.PRECONDITION_FAILED, "the reported properties have another $version")
        patch = limits.check_patch(read_json(payload), "properties.reported")
        change = twins.patch_by_device(device.twin, patch, self.hub.clock())
        device.twin = change.twin
        self.hub.events.notify(EventKind.TWIN_CHANGE, device.device_id, OpType.UPDATE_TWIN, change.body)
        return change.twin.reported.version

    def send_telemetry(
        self, device: Device, payload: bytes, application: Mapping[str, str], system: Mapping[str, str]
    ) -> None:
        """Take a device-to-cloud message.

        Raises:
            HubError: 429001, 403002.
        """
        self.hub.throttle.admit(Operation.TELEMETRY)
        self.hub.throttle.meter(len(payload))
        device.active_at = self.hub.clock()
        self.hub.events.forward_telemetry(device.device_id, telemetry_body(payload), application, system)

    def answer_method(self, device: Device, request_id: str, status: int, payload: bytes) -> None:
        """Take a direct method's answer."""
        try:
            document = read_json(payload or b"null")
        except HubError:
            document = None
        self.hub.methods.answer(device.device_id, request_id, MethodAnswer(status=status, payload=document))

    def acknowledge(self, device: Device, message_id: str) -> None:
        """Take the acknowledgement of a cloud-to-device message."""
        if device.commands is not None:
            device.commands.acknowledge(message_id)


def read_json(payload: bytes) -> object:
    """Parse JSON.

    Raises:
        HubError: 400004.
    """
    try:
        document: object = json.loads(payload)
    except (ValueError, RecursionError):
        raise invalid("the body is no JSON") from None
    return document


def telemetry_body(payload: bytes) -> Json:
    """A JSON object as it is, anything else as ``{"base64": …}``."""
    try:
        document = read_json(payload)
    except HubError:
        document = None
    return document if isinstance(document, dict) else {"base64": base64.b64encode(payload).decode()}
