"""Rows of the ``rollout`` table: what a person reads there, and what the handlers read back.

Columns of a rollout row: ``device campaign wave batch state attempt sequence variant code detail progress installed
former agent changed_at sent sent_at due_at retry_at past_state past_code mark state_mark other_mark``. A counters row
holds ``wave`` and one whole number per state, under ``count_<state>``; one for each reason for skipping devices, under
``skipped_<reason>``; and ``cohorts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.domain.cohorts import Tally
from shared.domain.gates import Counters
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import OrderMark, Rollout, RolloutState
from shared.domain.skips import SkipCounts, SkipReason
from shared.wire.cohort_rows import read_cohorts, write_cohorts
from shared.wire.keys import rollout_partition, row_key
from shared.wire.known import refuse_unknown

COUNTERS_PREFIX = "counters~"
COHORTS = "cohorts"
_COUNT = "count_"

_KEYS = frozenset({"PartitionKey", "RowKey"})
_COLUMNS = _KEYS | {
    *("device", "campaign", "wave", "batch", "state", "attempt", "sequence", "variant", "code", "detail", "progress"),
    *("installed", "former", "agent", "hardware", "changed_at", "sent", "sent_at", "due_at", "retry_at"),
    *("past_state", "past_code", "mark", "state_mark", "other_mark"),
    "withdrawn_at",  # of rows from before offers were taken back by walks
}


def write_rollout(rollout: Rollout, shard: int) -> dict[str, Any]:
    """The row of a rollout; empty times and marks are left out, because a table row has no null."""
    row = {
        "PartitionKey": rollout_partition(rollout.campaign, shard),
        "RowKey": row_key(rollout.device),
        "device": rollout.device,
        "campaign": rollout.campaign,
        "wave": rollout.wave,
        "batch": rollout.batch,
        "state": rollout.state.value,
        "attempt": rollout.attempt,
        "sequence": rollout.sequence,
        "variant": rollout.variant,
        "code": storable(rollout.code),
        "detail": storable(rollout.detail),
        "progress": rollout.progress_percent,
        "installed": storable(rollout.installed_version),
        "former": storable(rollout.former_version),
        "agent": storable(rollout.agent_version),
        "hardware": storable(rollout.hardware),
        "changed_at": rollout.changed_at,
        # A filter cannot ask for a column that is not there.
        "sent": rollout.sent_at is not None,
        "sent_at": rollout.sent_at,
        "due_at": rollout.due_at,
        "retry_at": rollout.retry_at,
        "past_state": rollout.past_state.value if rollout.past_state else None,
        "past_code": storable(rollout.past_code) if rollout.past_state else None,
        "mark": write_mark(rollout.mark),
        "state_mark": write_mark(rollout.state_mark),
        "other_mark": write_mark(rollout.other_mark),
    }
    return {column: value for column, value in row.items() if value is not None}


def read_rollout(row: Mapping[str, Any]) -> Rollout:
    """The rollout in a row.

    Raises:
        ValueError: A newer version wrote it, or somebody edited it, so that it cannot be read whole.
    """
    refuse_unknown(row, _COLUMNS)
    return Rollout(
        device=DeviceId(row["device"]),
        campaign=CampaignId(row["campaign"]),
        wave=row["wave"],
        batch=row["batch"],
        state=RolloutState(row["state"]),
        attempt=row["attempt"],
        sequence=row["sequence"],
        variant=row.get("variant", 0),
        code=row["code"],
        detail=row["detail"],
        progress_percent=row["progress"],
        installed_version=row["installed"],
        former_version=row.get("former", ""),
        agent_version=row["agent"],
        hardware=row.get("hardware", ""),
        changed_at=read_moment(row["changed_at"]),
        sent_at=find_moment(row.get("sent_at")),
        due_at=find_moment(row.get("due_at")),
        retry_at=find_moment(row.get("retry_at")),
        past_state=RolloutState(row["past_state"]) if "past_state" in row else None,
        past_code=row.get("past_code", ""),
        mark=_find_mark(row.get("mark")),
        state_mark=_find_mark(row.get("state_mark")),
        other_mark=_find_mark(row.get("other_mark")),
    )


def is_rollout(row: Mapping[str, Any]) -> bool:
    """Whether a row of the partition is a rollout; counters rows stand among them."""
    return not str(row["RowKey"]).startswith(COUNTERS_PREFIX)


def counters_key(wave: int) -> str:
    """The row key of a wave's counters."""
    return f"{COUNTERS_PREFIX}{wave:04d}"


def count_column(state: RolloutState) -> str:
    """The column of a counters row that says how many devices are in a state."""
    return f"{_COUNT}{state.value}"


def skipped_column(reason: SkipReason) -> str:
    """The column of a counters row that says how many devices were skipped for a reason."""
    return f"skipped_{reason.value}"


_COUNTERS_COLUMNS = _KEYS | {"wave", COHORTS, *map(count_column, RolloutState), *map(skipped_column, SkipReason)}


def write_tally(tally: Tally, campaign: CampaignId, shard: int, wave: int) -> dict[str, Any]:
    """The counters row of a wave in one shard; zeros of states included."""
    return {
        "PartitionKey": rollout_partition(campaign, shard),
        "RowKey": counters_key(wave),
        "wave": wave,
        **{count_column(state): tally.counters.of(state) for state in RolloutState},
        **{skipped_column(reason): count for reason, count in tally.skips.by_reason.items()},
        COHORTS: storable(write_cohorts(tally.cohorts)),
    }


def read_tally(row: Mapping[str, Any]) -> Tally:
    """All that a counters row counts.

    Raises:
        ValueError: It counts something that this version does not know.
    """
    return Tally(
        counters=read_counters(row),
        cohorts=read_cohorts(row.get(COHORTS, "")),
        skips=_read_skips(row),
    )


def read_counters(row: Mapping[str, Any]) -> Counters:
    """The counters in a row, or in the part of it that was asked for.

    Raises:
        ValueError: It counts a state that this version does not know.
    """
    refuse_unknown(row, _COUNTERS_COLUMNS)
    return Counters(by_state={state: row.get(count_column(state), 0) for state in RolloutState})


def _read_skips(row: Mapping[str, Any]) -> SkipCounts:
    counts = {reason: row.get(skipped_column(reason), 0) for reason in SkipReason}
    return SkipCounts(by_reason={reason: count for reason, count in counts.items() if count})


def write_mark(mark: OrderMark | None) -> str | None:
    """``<ISO time>#<version>``."""
    return None if mark is None else f"{mark.last_updated.isoformat()}#{mark.version}"


def read_mark(text: str) -> OrderMark:
    """The order mark in a text."""
    moment, _, version = text.rpartition("#")
    return OrderMark(last_updated=datetime.fromisoformat(moment), version=int(version))


def read_moment(value: datetime) -> datetime:
    """A plain aware UTC ``datetime``: the SDK hands out a subclass of its own."""
    return datetime.fromtimestamp(0, UTC) + (value - datetime.fromtimestamp(0, UTC))


def find_moment(value: datetime | None) -> datetime | None:
    """The same of a column that may not be there."""
    return None if value is None else read_moment(value)


def _find_mark(text: str | None) -> OrderMark | None:
    return None if text is None else read_mark(text)


def storable(text: str) -> str:
    """What a device said, as UTF-8 holds it: JSON lets it write half a surrogate pair."""
    return text.encode(errors="replace").decode()
