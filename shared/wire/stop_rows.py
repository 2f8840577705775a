"""The row of the emergency stop in the table ``budget``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.stops import FleetStop
from shared.wire.known import refuse_unknown
from shared.wire.rollout_rows import read_moment

STOP_PARTITION = "stop"
_COLUMNS = frozenset(
    {
        *("PartitionKey", "RowKey", "number", "stands", "reason", "stopped_by", "released_by"),
        *("stopped_at", "released_at"),
    }
)


def write_stop(stop: FleetStop, key: str) -> dict[str, Any]:
    """The row; times it does not have are left out."""
    times = {"stopped_at": stop.stopped_at, "released_at": stop.released_at}
    return {
        "PartitionKey": STOP_PARTITION,
        "RowKey": key,
        "number": stop.number,
        "stands": stop.stands,
        "reason": stop.reason,
        "stopped_by": stop.stopped_by,
        "released_by": stop.released_by,
        **{name: time for name, time in times.items() if time is not None},
    }


def read_stop(row: Mapping[str, Any]) -> FleetStop:
    """The stop in a row.

    Raises:
        ValueError: A newer version wrote it, or somebody edited it, so that it cannot be read whole.
    """
    refuse_unknown(row, _COLUMNS)
    return FleetStop(
        number=row["number"],
        stands=row["stands"],
        reason=row["reason"],
        stopped_by=row["stopped_by"],
        stopped_at=_find_moment(row, "stopped_at"),
        released_by=row["released_by"],
        released_at=_find_moment(row, "released_at"),
    )


def _find_moment(row: Mapping[str, Any], column: str) -> datetime | None:
    return None if row.get(column) is None else read_moment(row[column])
