"""The JSON shapes in which the hub shows devices and twins."""

from datetime import datetime

from emulator.hub.clock import NEVER, write_time
from emulator.hub.devices import Device, Identity
from emulator.hub.documents import Json, Section
from emulator.hub.twins import Twin


def write_device(device: Device) -> Json:
    """The ``Device`` of the REST API."""
    identity = device.identity
    return {
        "deviceId": device.device_id,
        "generationId": device.generation_id,
        "etag": device.etag,
        "connectionState": device.connection_state,
        "status": identity.status,
        "statusReason": identity.status_reason,
        "connectionStateUpdatedTime": _time(device.connection_updated_at),
        "statusUpdatedTime": _time(device.status_updated_at),
        "lastActivityTime": _time(device.active_at),
        "cloudToDeviceMessageCount": pending_commands(device),
        "capabilities": {"iotEdge": False},
        "authentication": {
            "symmetricKey": {"primaryKey": identity.primary_key, "secondaryKey": identity.secondary_key},
            "x509Thumbprint": _write_thumbprints(identity),
            "type": "selfSigned" if identity.thumbprints else "sas",
        },
    }


def write_twin(device: Device) -> Json:
    """The ``Twin`` of the REST API."""
    twin = device.twin
    return {
        "deviceId": device.device_id,
        "etag": twin.etag,
        "deviceEtag": device.etag,
        "status": device.identity.status,
        "statusReason": device.identity.status_reason,
        "statusUpdateTime": _time(device.status_updated_at),
        "connectionState": device.connection_state,
        "lastActivityTime": _time(device.active_at),
        "cloudToDeviceMessageCount": pending_commands(device),
        "authenticationType": "selfSigned" if device.identity.thumbprints else "sas",
        "x509Thumbprint": _write_thumbprints(device.identity),
        "modelId": "",
        "version": twin.version,
        "tags": twin.tags.values,
        "properties": _write_properties(twin),
        "capabilities": {"iotEdge": False},
    }


def write_twin_event(device: Device) -> Json:
    """The body of ``replaceTwin`` and lifecycle notifications."""
    twin = device.twin
    body: Json = {"deviceId": device.device_id, "etag": twin.etag, "version": twin.version}
    if twin.tags.values:
        body["tags"] = twin.tags.values
    return body | {"properties": _write_properties(twin)}


def write_twin_for_device(twin: Twin) -> Json:
    """What a device gets when it asks for its twin: no tags, no metadata."""
    return {
        "desired": {**twin.desired.values, "$version": twin.desired.version},
        "reported": {**twin.reported.values, "$version": twin.reported.version},
    }


def pending_commands(device: Device) -> int:
    return len(device.commands) if device.commands else 0


def _write_properties(twin: Twin) -> Json:
    return {"desired": write_section(twin.desired), "reported": write_section(twin.reported)}


def write_section(section: Section) -> Json:
    """Desired or reported properties with ``$metadata`` and ``$version``."""
    return {**section.values, "$metadata": section.stamps, "$version": section.version}


def _time(moment: datetime | None) -> str:
    return write_time(moment) if moment else NEVER


def _write_thumbprints(identity: Identity) -> Json:
    primary, secondary = (*identity.thumbprints, None, None)[:2]
    return {"primaryThumbprint": primary, "secondaryThumbprint": secondary}
