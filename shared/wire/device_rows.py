"""Rows of the ``devices`` table.

Columns: ``device sequence held_by hardware changed_at known_since deleted_at`` and ``installed``, a JSON object of
package name to version: package names hold characters that column names may not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.domain.devices import DeviceRecord
from shared.domain.ids import CampaignId, DeviceId
from shared.wire.keys import DEVICES_PARTITION, row_key
from shared.wire.known import refuse_unknown
from shared.wire.rollout_rows import find_moment, read_moment, storable

_COLUMNS = frozenset(
    {
        *("PartitionKey", "RowKey", "device", "sequence", "held_by", "installed", "hardware"),
        *("known_since", "deleted_at", "changed_at"),
    }
)


def write_device(record: DeviceRecord) -> dict[str, Any]:
    """The row of a device; a device that nobody holds has an empty ``held_by``."""
    row = {
        "PartitionKey": DEVICES_PARTITION,
        "RowKey": row_key(record.device),
        "device": record.device,
        "sequence": record.sequence,
        "held_by": record.held_by or "",
        "installed": json.dumps(dict(record.installed), sort_keys=True),
        "hardware": storable(record.hardware),
        "known_since": record.known_since,
        "deleted_at": record.deleted_at,
        "changed_at": record.changed_at,
    }
    return {column: value for column, value in row.items() if value is not None}


def read_device(row: Mapping[str, Any]) -> DeviceRecord:
    """The record in a row.

    Raises:
        ValueError: A newer version wrote it, or somebody edited it, so that it cannot be read whole.
    """
    refuse_unknown(row, _COLUMNS)
    return DeviceRecord(
        device=DeviceId(row["device"]),
        sequence=row["sequence"],
        held_by=CampaignId(row["held_by"]) if row["held_by"] else None,
        installed=json.loads(row["installed"]),
        hardware=row.get("hardware", ""),
        known_since=find_moment(row.get("known_since")),
        deleted_at=find_moment(row.get("deleted_at")),
        changed_at=read_moment(row["changed_at"]),
    )
