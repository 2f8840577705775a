"""Taking back the offers of a device batch.

The twin is cleared before the row is cancelled: as long as the row is open it holds the device, so no other campaign's
offer can stand there and be cleared by mistake, whenever a repeat of this comes.

A row marked as offered whose offer nobody has stamped may be in the hands of a dispatch that read the campaign before
it was cancelled, and whose twin write comes after the clearing. Such a row stays open, and its twin is cleared again
and again, until the offer is stamped or the last function that may have it in hand has been ended by its time limit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.ids import DeviceId
from shared.domain.in_hand import may_hold_offer
from shared.domain.retries import cut_short
from shared.domain.rollouts import PROGRESS, Rollout, RolloutState
from shared.domain.walks import BatchPurpose
from shared.handlers.contention import until_written
from shared.handlers.hub_verdicts import adjust_rate, retry_at, wants_retry
from shared.handlers.offer_batch import DispatchPorts, name_of
from shared.handlers.reserve_slots import take_turn
from shared.handlers.wakeups import request_work_again, request_work_at
from shared.ports.bus import Queue
from shared.ports.errors import QuotaExceeded
from shared.ports.hub import TwinOutcome, TwinResult, TwinWrite
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.messages import BatchWork
from shared.wire.twins import PROPERTY

log = logging.getLogger(__name__)

S = RolloutState

QUOTA_RETRY_S = 3600.0

IN_HAND_RETRIES = 9
"""After as many retries of growing distance, ten minutes at the least have passed: ``functionTimeout`` of host.json."""

_CONCERNED: Mapping[BatchPurpose, Set[RolloutState]] = {
    BatchPurpose.WITHDRAW: frozenset(PROGRESS),
    BatchPurpose.RECALL: frozenset({S.PLANNED, S.OFFERED}),
}
_LATER = frozenset({TwinOutcome.THROTTLED, TwinOutcome.UNAVAILABLE})


def withdraw_batch(work: BatchWork, ports: DispatchPorts, *, now: datetime) -> None:
    """Take back the batch's offers in the slot that the walk got for them, however late that is; what comes again
    because twins are left over waits for its turn first.

    Raises:
        PortError: A service needed for it is down, or the rows change too fast; withdrawing again is safe.
    """
    if work.slot is None and (turn := _take_turn(work, ports, now)) > now:
        ports.sender.send(Queue.DEVICE_BATCHES, [request_work_at(work, turn)])
        return
    _withdraw(work, ports, now)


def _take_turn(work: BatchWork, ports: DispatchPorts, now: datetime) -> datetime:
    rows = ports.rollouts.read_batch(work.campaign, work.batch)
    offered = sum(row.value.state in _CONCERNED[work.purpose] and may_hold_offer(row.value) for row in rows)
    return take_turn(ports.budget, offered, now=now) if offered else now


def _withdraw(work: BatchWork, ports: DispatchPorts, now: datetime) -> None:
    """Clear the twins of the batch's open rows and cancel the rows, those without an offer included.

    A recall leaves alone the devices that have begun.
    """

    def attempt() -> tuple[list[TwinResult], bool]:
        concerned = _CONCERNED[work.purpose]
        rows = ports.rollouts.read_batch(work.campaign, work.batch)
        open_rows = [row for row in rows if row.value.state in concerned]
        offered = [row.value for row in open_rows if may_hold_offer(row.value)]
        results = ports.twins.write([TwinWrite(device=row.device, desired={PROPERTY: None}) for row in offered])
        in_hand = {row.device for row in offered if row.sent_at is None} if work.retry < IN_HAND_RETRIES else set()
        kept = in_hand | {result.device for result in results if result.outcome in _LATER}
        ports.rollouts.write(work.campaign, work.batch.shard, _cancellations(open_rows, kept, now))
        return results, bool(in_hand)

    try:
        results, is_in_hand = until_written(attempt, what=name_of(work))
    except QuotaExceeded:
        log.warning("%s: the hub's daily quota is used up, offers are taken back later", work.campaign)
        _send_again(work, ports, now + timedelta(seconds=QUOTA_RETRY_S))
        return
    adjust_rate(ports.budget, results, now=now)
    if is_in_hand or wants_retry(results):
        _send_again(work, ports, retry_at(work.retry, now=now))


def _cancellations(rows: Sequence[Stored[Rollout]], kept: Set[DeviceId], now: datetime) -> list[RolloutChange]:
    return [RolloutChange(before=row, after=_cancelled(row.value, now)) for row in rows if row.value.device not in kept]


def _cancelled(rollout: Rollout, now: datetime) -> Rollout:
    cancelled = cut_short(rollout, S.CANCELLED, now=now, code=rollout.state.value, detail="the campaign was cancelled")
    return replace(cancelled, progress_percent=rollout.progress_percent)


def _send_again(work: BatchWork, ports: DispatchPorts, at: datetime) -> None:
    ports.sender.send(Queue.DEVICE_BATCHES, [request_work_again(work, enqueue_at=at)])
