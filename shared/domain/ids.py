"""Identifiers, and where a device stands on the ring that orders every campaign.

The ring: a device's position is the first 32 bits of the SHA-256 of its id. Table rows are keyed by it, and a
campaign's manifest is the ring read from a starting point of the campaign's own, so that a device batch is an arc
that one range query reads, while the canaries differ from campaign to campaign.
"""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from shared.domain.errors import InvalidId

DeviceId = NewType("DeviceId", str)
CampaignId = NewType("CampaignId", str)
OperationId = NewType("OperationId", str)
PackageName = NewType("PackageName", str)
PackagePath = NewType("PackagePath", str)

RING_SIZE = 2**32

# The characters IoT Hub allows in a device id (identity registry documentation), at most 128 of them.
DEVICE_ID = re.compile(r"[A-Za-z0-9\-.%_*?!(),:=@$'#+]{1,128}")
_CAMPAIGN_ID = re.compile(r"[a-z0-9][a-z0-9-]{2,63}")
PACKAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


def device_id(text: str) -> DeviceId:
    """The text as a device id.

    Raises:
        InvalidId: It is empty, longer than 128 characters, or has a character IoT Hub does not allow.
    """
    if not DEVICE_ID.fullmatch(text):
        raise InvalidId(f"{text[:140]!r} is not an IoT Hub device id: use 1-128 of A-Z a-z 0-9 and -.%_*?!(),:=@$'#+")
    return DeviceId(text)


def campaign_id(text: str) -> CampaignId:
    """The text as a campaign id.

    Raises:
        InvalidId: It is not 3-64 lower-case letters, digits and hyphens.
    """
    if not _CAMPAIGN_ID.fullmatch(text):
        raise InvalidId(f"{text[:80]!r} is not a campaign id: use 3-64 lower-case letters, digits and hyphens")
    return CampaignId(text)


def operation_id(text: str) -> OperationId:
    """The text as an operation id.

    Raises:
        InvalidId: It cannot be one: operation ids are made as campaign ids are.
    """
    return OperationId(campaign_id(text))


def package_name(text: str) -> PackageName:
    """The text as a package name.

    Raises:
        InvalidId: It is not 1-100 letters, digits and ``._+-``, or holds two dots in a row.
    """
    if not PACKAGE_NAME.fullmatch(text) or ".." in text:
        raise InvalidId(
            f"{text[:110]!r} is not a package name: use 1-100 letters, digits and ._+- beginning with a letter "
            "or digit, without two dots in a row"
        )
    return PackageName(text)


def ring_position(device: DeviceId) -> int:
    """Where the device stands on the ring, 0 to 2**32 - 1."""
    return int.from_bytes(hashlib.sha256(device.encode()).digest()[:4])


def ring_start(campaign: CampaignId) -> int:
    """The position from which a campaign reads the ring."""
    return int.from_bytes(hashlib.sha256(b"campaign:" + campaign.encode()).digest()[:4])


def ring_order(device: DeviceId, start: int) -> tuple[int, str]:
    """The sort key of a device in a manifest that starts at ``start``."""
    return (ring_position(device) - start) % RING_SIZE, device


def shard_of(device: DeviceId, shards: int) -> int:
    """The shard (0 to ``shards`` - 1) whose table partition holds the device's rows."""
    return ring_position(device) % shards
