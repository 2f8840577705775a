"""Visiting a device batch: time out what is due, settle what has ended, come back when the next deadline may pass."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.domain.campaign_specs import Deadlines
from shared.domain.campaigns import OFFERING
from shared.domain.devices import DeviceRecord, settle
from shared.domain.gates import BAD_ENDS
from shared.domain.retries import retry_if_wanted
from shared.domain.rollouts import Rollout, RolloutState, move
from shared.handlers.campaign_facts import CampaignFacts, CampaignFactsCache
from shared.handlers.contention import until_written
from shared.handlers.wakeups import (
    request_attempts,
    request_evaluation,
    request_slots_again,
    request_visit,
    utc_now,
)
from shared.ports.bus import MessageSender, Queue
from shared.ports.rollouts import DeviceStore, RolloutChange, RolloutStore
from shared.ports.stored import Stored
from shared.wire.messages import BatchVisit

log = logging.getLogger(__name__)

_PLACES_PER_DEADLINE = 8

LOST_AFTER_S = 300.0
"""A row without an offer that has not changed for this long, in a batch that had its slot: its message is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitPorts:
    """What a visit needs from outside."""

    facts: CampaignFactsCache
    rollouts: RolloutStore
    devices: DeviceStore
    sender: MessageSender
    clock: Callable[[], datetime] = utc_now


def visit_batch(visit: BatchVisit, ports: VisitPorts, *, now: datetime) -> int:
    """Look at the batch once.

    Returns:
        How many rows timed out.

    Raises:
        PortError: A service needed for it is down, or the rows change too fast; visiting again is safe.
    """
    if (facts := ports.facts.find(visit.campaign)) is None:
        log.warning("the visit of a batch of the unknown campaign %s is dropped", visit.campaign)
        return 0
    what = f"batch {visit.batch.number} of wave {visit.batch.wave} of {visit.campaign}"
    rows, timed_out = until_written(lambda: _time_out(visit, facts, ports.rollouts, now), what=what)
    _try_again(visit, rows, ports, now)
    if timed_out or any(row.state in BAD_ENDS for row in rows):
        # Whoever wrote such an end may have died before the gate was asked, and the wave may have passed by now.
        ports.sender.send(Queue.CAMPAIGN_STEPS, [request_evaluation(visit.campaign, visit.batch.wave, ports.clock())])
    ended = [row for row in rows if row.is_final]
    if ended:
        until_written(lambda: _settle(ended, facts, ports.devices, now), what=what)
    _offer_again(visit, rows, ports, now)
    if (due := next_visit(visit, rows, facts.deadlines, now=now)) is not None:
        ports.sender.send(Queue.BATCH_DEADLINES, [request_visit(visit.campaign, visit.batch, due=due)])
    return timed_out


def next_visit(visit: BatchVisit, rows: Sequence[Rollout], deadlines: Deadlines, *, now: datetime) -> datetime | None:
    """When the batch is worth a visit again; None once all its rows have ended.

    A row may enter a state with a short deadline at any time, so no more than the shortest passes between two visits.
    Times are drawn together on a grid of the batch's own: repeated messages then make one chain of visits, not two,
    and batches that were offered together do not come back together. The next visit is later than the present one
    even where this instance's clock is behind: under the same id it would be dropped, and nobody would come again.
    """
    open_rows = [row for row in rows if not row.is_final]
    if not open_rows:
        return None
    latest = now + timedelta(seconds=deadlines.shortest_s)
    due = min([latest, *(row.due_at for row in open_rows if row.due_at is not None)])
    grid_s = max(1, int(deadlines.shortest_s / _PLACES_PER_DEADLINE))
    batch = visit.batch
    phase_s = zlib.crc32(f"{visit.campaign}:{batch.wave}:{batch.shard}:{batch.number}".encode()) % grid_s
    epoch = max(math.ceil(max(due, now).timestamp()), (visit.due_epoch_s or 0) + 1)
    return datetime.fromtimestamp(epoch + (phase_s - epoch) % grid_s, UTC)


def _try_again(visit: BatchVisit, rows: Sequence[Rollout], ports: VisitPorts, now: datetime) -> None:
    """Ask for the slots of further attempts, whose messages may be lost; of those that begin now it is on its way."""
    later = [row for row in rows if _awaits_retry(row) and row.retry_at is not None and row.retry_at > now]
    messages = request_attempts(later, visit.batch.shard)
    if any(_awaits_retry(row) and _waits_too_long(row, now) for row in rows):
        messages.append(request_slots_again(visit.campaign, visit.batch, now=now))
    if messages:
        ports.sender.send(Queue.DEVICE_BATCHES, messages)


def _offer_again(visit: BatchVisit, rows: Sequence[Rollout], ports: VisitPorts, now: datetime) -> None:
    """Ask for slots for rows whose dispatch was lost with its message; a batch is visited only after its own slot."""
    if not any(_is_forgotten(row, now) for row in rows) or ports.facts.read_state(visit.campaign) not in OFFERING:
        return
    log.warning("batch %d of wave %d of %s is dispatched again", visit.batch.number, visit.batch.wave, visit.campaign)
    ports.sender.send(Queue.DEVICE_BATCHES, [request_slots_again(visit.campaign, visit.batch, now=now)])


def _awaits_retry(rollout: Rollout) -> bool:
    return rollout.state is RolloutState.PLANNED and rollout.retry_at is not None


def _is_forgotten(rollout: Rollout, now: datetime) -> bool:
    is_unsent = rollout.state in (RolloutState.PLANNED, RolloutState.OFFERED) and rollout.sent_at is None
    return is_unsent and not _awaits_retry(rollout) and _waits_too_long(rollout, now)


def _waits_too_long(rollout: Rollout, now: datetime) -> bool:
    waits_since = max(rollout.changed_at, rollout.retry_at or rollout.changed_at)
    return now - waits_since >= timedelta(seconds=LOST_AFTER_S)


def _time_out(
    visit: BatchVisit, facts: CampaignFacts, rollouts: RolloutStore, now: datetime
) -> tuple[list[Rollout], int]:
    """The rows after those that are due timed out, and how many did."""
    rows = rollouts.read_batch(visit.campaign, visit.batch)
    due = [row for row in rows if _is_due(row.value, now)]
    changes = [
        RolloutChange(
            before=row, after=retry_if_wanted(_silent(row.value, now), facts.retries, now=now, end=facts.end_at)
        )
        for row in due
    ]
    rollouts.write(visit.campaign, visit.batch.shard, changes)
    after = {change.after.device: change.after for change in changes}
    return [after.get(row.value.device, row.value) for row in rows], len(changes)


def _is_due(rollout: Rollout, now: datetime) -> bool:
    return not rollout.is_final and rollout.due_at is not None and rollout.due_at <= now


def _silent(rollout: Rollout, now: datetime) -> Rollout:
    detail = f"no report since {rollout.changed_at:%Y-%m-%d %H:%M:%S} UTC"
    silent = move(rollout, RolloutState.TIMED_OUT, now=now, code=rollout.state.value, detail=detail)
    return replace(silent, progress_percent=rollout.progress_percent)


def _settle(ended: Sequence[Rollout], facts: CampaignFacts, devices: DeviceStore, now: datetime) -> None:
    records = devices.read_batch([row.device for row in ended])
    changed = [
        Stored(value=after, etag=records[row.device].etag)
        for row in ended
        if row.device in records
        and (after := _settled(records[row.device].value, row, facts, now)) != records[row.device].value
    ]
    if changed:
        devices.write(changed)


def _settled(record: DeviceRecord, rollout: Rollout, facts: CampaignFacts, now: datetime) -> DeviceRecord:
    return settle(record, rollout, facts.target_of(rollout).name, now=now)
