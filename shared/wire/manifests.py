"""Blobs of the ``manifests`` container: device ids one a line, batch lists as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from shared.domain.ids import CampaignId, DeviceId
from shared.domain.waves import DeviceBatch

DRAFT_PREFIX = "o"
"""Ids of dry runs begin with it, and no campaign's does: theirs begin with a ``c``."""


def owner_of(blob: str) -> str:
    """Whose blob it is: the id of a campaign or of a dry run."""
    return blob.partition("/")[0]


def page_blob(campaign: CampaignId, page: int) -> str:
    """Name of the blob with one page of the listing."""
    return f"{campaign}/pages/{page:06d}.txt"


def manifest_blob(campaign: CampaignId, edition: str = "") -> str:
    """Name of the blob with the ordered targets."""
    return f"{campaign}/manifest-{edition}.txt" if edition else f"{campaign}/manifest.txt"


def batches_blob(campaign: CampaignId, wave: int) -> str:
    """Name of the blob with a wave's batch list."""
    return f"{campaign}/waves/{wave:04d}/batches.jsonl"


def members_blob(campaign: CampaignId, wave: int, part: int) -> str:
    """Name of the blob with the devices of some of a wave's batches."""
    return f"{campaign}/waves/{wave:04d}/members-{part:06d}.jsonl"


def hardware_blob(campaign: CampaignId, wave: int, part: int) -> str:
    """Name of the blob with what the devices of some of a wave's batches say they are; wave 0 for pages."""
    return f"{campaign}/waves/{wave:04d}/hardware-{part:06d}.json"


def write_devices(devices: Iterable[DeviceId]) -> bytes:
    """Device ids, one a line; no device id holds a line feed."""
    return "".join(f"{device}\n" for device in devices).encode()


def read_devices(content: bytes) -> list[DeviceId]:
    """The device ids in a blob."""
    return [DeviceId(line) for line in content.decode().splitlines()]


def write_members(members: Iterable[list[DeviceId]]) -> bytes:
    """One JSON list of device ids a line."""
    return "".join(f"{json.dumps(devices)}\n" for devices in members).encode()


def read_members(content: bytes) -> list[list[DeviceId]]:
    """The lists of device ids in a blob."""
    return [[DeviceId(device) for device in json.loads(line)] for line in content.splitlines()]


def write_hardware(known: Mapping[DeviceId, str]) -> bytes:
    """Each hardware once, with the devices that are it."""
    devices: dict[str, list[DeviceId]] = {}
    for device, hardware in known.items():
        devices.setdefault(hardware, []).append(device)
    return json.dumps(devices).encode()


def read_hardware(content: bytes) -> dict[DeviceId, str]:
    """Device to its hardware."""
    return {DeviceId(device): hardware for hardware, devices in json.loads(content).items() for device in devices}


def write_batches(batches: Iterable[DeviceBatch]) -> bytes:
    """One JSON object a line."""
    return "".join(f"{json.dumps(asdict(batch))}\n" for batch in batches).encode()


def read_batches(content: bytes) -> list[DeviceBatch]:
    """The batches in a blob."""
    return list(_batches(content))


def _batches(content: bytes) -> Iterator[DeviceBatch]:
    for line in content.splitlines():
        yield DeviceBatch(**json.loads(line))
