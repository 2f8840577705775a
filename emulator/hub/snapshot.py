"""What a hub knows of its devices as JSON documents, one each, so that it outlives the process.

Cloud-to-device messages and what queries saw are not in it; every device is disconnected afterwards.
"""

from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from emulator.hub.devices import Device, Identity, Status
from emulator.hub.documents import Json, Section
from emulator.hub.twins import Twin

_SECTIONS = ("tags", "desired", "reported")


def read_devices(documents: Iterable[Json]) -> list[Device]:
    """The devices of the documents, in the order of their creation."""
    return sorted(map(_read, documents), key=lambda device: device.serial)


def mark_device(device: Device) -> tuple[Any, ...]:
    """What compares equal as long as its document would be the same."""
    times = (device.status_updated_at, device.active_at, device.connection_updated_at)
    subscriptions = None if device.subscriptions is None else frozenset(device.subscriptions)
    return (device.twin, device.identity, device.etag, device.serial, *times, subscriptions)


def write_device(device: Device) -> Json:
    """The device's document."""
    return {
        "deviceId": device.device_id,
        "serial": device.serial,
        "generationId": device.generation_id,
        "etag": device.etag,
        "identity": asdict(device.identity),
        "statusUpdatedAt": _write_time(device.status_updated_at),
        "activeAt": _write_time(device.active_at),
        "connectionUpdatedAt": _write_time(device.connection_updated_at),
        "subscriptions": None if device.subscriptions is None else sorted(device.subscriptions),
        "twin": _write_twin(device.twin),
    }


def _write_twin(twin: Twin) -> Json:
    """As ``asdict`` would, which copies every value on the way."""
    sections = {name: _write_section(getattr(twin, name)) for name in _SECTIONS}
    return {"version": twin.version, "revision": twin.revision, **sections}


def _write_section(section: Section) -> Json:
    return {field.name: getattr(section, field.name) for field in fields(section)}


def _read(document: Json) -> Device:
    identity, subscriptions = document["identity"], document["subscriptions"]
    thumbprints = tuple(identity.get("thumbprints", ()))
    return Device(
        device_id=document["deviceId"],
        serial=document["serial"],
        generation_id=document["generationId"],
        etag=document["etag"],
        identity=Identity(**identity | {"status": Status(identity["status"]), "thumbprints": thumbprints}),
        status_updated_at=_read_time(document["statusUpdatedAt"]),
        active_at=_read_time(document["activeAt"]),
        connection_updated_at=_read_time(document["connectionUpdatedAt"]),
        subscriptions=None if subscriptions is None else set(subscriptions),
        twin=_read_twin(document["twin"]),
    )


def _read_twin(document: Json) -> Twin:
    sections = {name: Section(**document[name]) for name in _SECTIONS}
    return Twin(version=document["version"], revision=document["revision"], **sections)


def _write_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _read_time(text: Any) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
