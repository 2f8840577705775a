"""Table keys. IoT Hub allows characters in device ids that table keys or OData filters do not (``#``, ``?``, ``'``)."""

from __future__ import annotations

import re

from shared.domain.ids import CampaignId, DeviceId, ring_position

_ESCAPED = re.compile(r"[^A-Za-z0-9._-]")
_ESCAPE = re.compile(r"~([0-9a-f]{2})")


def escape(text: str) -> str:
    """The text with every byte outside ``A-Za-z0-9._-`` as ``~xx``; no device id holds a ``~``."""
    return _ESCAPED.sub(lambda match: "".join(f"~{octet:02x}" for octet in match[0].encode()), text)


def unescape(text: str) -> str:
    """The text that was escaped."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def row_key(device: DeviceId) -> str:
    """``<ring position, 8 hex digits>~<escaped id>``: rows stand in ring order, a device batch is one range."""
    return f"{ring_position(device):08x}~{escape(device)}"


def device_of(key: str) -> DeviceId:
    """The device behind a row key."""
    return DeviceId(unescape(key[9:]))


def rollout_partition(campaign: CampaignId, shard: int) -> str:
    """The partition of a campaign's rollout rows in one shard."""
    return f"{campaign}~{shard:02d}"


DEVICES_PARTITION = "devices~00"
"""The one partition of all device rows. How many shards a campaign has follows the hub's size at the time it is posted;
device rows outlive campaigns, so where they lie must follow neither."""
