"""Folding reports into rollout rows and counters, one transaction per wave."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.domain.campaign_specs import Deadlines
from shared.domain.folding import fold_report
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.retries import retry_if_wanted
from shared.domain.rollouts import Report, Rollout
from shared.handlers.campaign_facts import CampaignFacts, CampaignFactsCache
from shared.handlers.wakeups import alone, request_attempts, request_evaluation, request_settlement
from shared.ports.bus import MessageSender, OutgoingMessage, Queue
from shared.ports.errors import ConcurrentChange
from shared.ports.rollouts import RolloutChange, RolloutStore
from shared.ports.stored import Stored
from shared.telemetry.signals import EVENT_TO_TABLE_S, Signal, emit
from shared.wire.keys import rollout_partition
from shared.wire.reports import ReportBatch, digest, write_report_batches

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""How long contended rows are tried again; a write itself may take as long, so that ten seconds bound the whole."""

_MAX_PAUSE_S = 0.25

ASK_AGAIN_S = 60.0
"""By then a write that is under way has ended."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldPorts:
    """What the fold needs from outside."""

    facts: CampaignFactsCache
    rollouts: RolloutStore
    sender: MessageSender
    clock: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], None] = time.sleep
    patience_s: float = PATIENCE_S


def fold_reports(batch: ReportBatch, ports: FoldPorts) -> int:
    """Fold the reports; what stays contended goes to the backlog, so that contention never fails a delivery.

    Returns:
        How many rows changed.

    Raises:
        PortError: A service needed for it is down; folding all reports again is safe.
    """
    changed, left = _fold(batch, ports)
    if left:
        subject = rollout_partition(batch.campaign, batch.shard)
        log.warning("%s: %d reports stay contended and go to the backlog", subject, len(left))
        documents = write_report_batches(batch.campaign, batch.shard, left)
        messages = [OutgoingMessage(body=body, message_id=digest(body), session_id=subject) for body in documents]
        ports.sender.send(Queue.REPORT_BACKLOG, messages)
    return changed


def fold_backlog(batch: ReportBatch, ports: FoldPorts) -> int:
    """Fold reports from the backlog; one session is one partition, so contention there is short.

    Raises:
        PortError: Contention included: the message must come again.
    """
    changed, left = _fold(batch, ports)
    if left:
        raise ConcurrentChange(f"{len(left)} reports of {batch.campaign} stay contended")
    return changed


def _fold(batch: ReportBatch, ports: FoldPorts) -> tuple[int, list[Report]]:
    """How many rows changed, and the reports that stayed contended."""
    if (facts := ports.facts.find(batch.campaign)) is None:
        log.warning("%d reports for the unknown campaign %s are ignored", len(batch.reports), batch.campaign)
        return 0, []
    gives_up_at = time.monotonic() + ports.patience_s
    left, changed = list(batch.reports), 0
    while True:
        done = _fold_once(batch.campaign, batch.shard, left, facts, ports)
        changed += done.changed
        left = done.left
        if not left or time.monotonic() >= gives_up_at:
            return changed, left
        ports.sleep(random.uniform(0.01, _MAX_PAUSE_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    changed: int
    left: list[Report]


def _fold_once(
    campaign: CampaignId, shard: int, reports: Sequence[Report], facts: CampaignFacts, ports: FoldPorts
) -> _Done:
    now = ports.clock()
    rows = ports.rollouts.read_devices(campaign, shard, list(dict.fromkeys(report.device for report in reports)))
    _count_unknown(campaign, reports, rows)
    changed, contended = 0, set[DeviceId]()
    for changes in _changes(reports, rows, facts, now).values():
        _wake_later(campaign, changes, ports)
        try:
            ports.rollouts.write(campaign, shard, changes)
        except ConcurrentChange:
            contended |= {change.after.device for change in changes}
            continue
        changed += len(changes)
        _tell_delay(campaign, changes, ports.clock())
        _wake(campaign, shard, changes, ports)
    return _Done(changed=changed, left=[report for report in reports if report.device in contended])


def _tell_delay(campaign: CampaignId, changes: Sequence[RolloutChange], written_at: datetime) -> None:
    """How long it took from the devices' writes to their twins until now."""
    marks = [change.after.mark for change in changes if change.after.mark not in (None, change.before.value.mark)]
    delays_s = [max(0.0, (written_at - mark.last_updated).total_seconds()) for mark in marks if mark is not None]
    if not delays_s:
        return
    slowest_s, late = round(max(delays_s), 1), sum(delay > EVENT_TO_TABLE_S for delay in delays_s)
    message = f"{campaign}: folded {len(delays_s)} reports, the slowest after {slowest_s} s"
    emit(log, Signal.FOLDED, message, campaign=campaign, reports=len(delays_s), late=late, slowest_s=slowest_s)


def _count_unknown(campaign: CampaignId, reports: Sequence[Report], rows: Mapping[DeviceId, Stored[Rollout]]) -> None:
    unknown = {report.device for report in reports} - rows.keys()
    if unknown:
        log.warning("%s: reports of %d devices that have no part in it are ignored", campaign, len(unknown))


def _changes(
    reports: Iterable[Report], rows: Mapping[DeviceId, Stored[Rollout]], facts: CampaignFacts, now: datetime
) -> dict[int, list[RolloutChange]]:
    """The rows that change, by wave."""
    folded = {device: row.value for device, row in rows.items()}
    for report in reports:
        if report.device in folded:
            row = folded[report.device]
            folded[report.device] = fold_report(row, report, facts.target_of(row), now=now)
    waves: dict[int, list[RolloutChange]] = {}
    for device, after in folded.items():
        before = rows[device]
        if after != before.value:
            timed = with_deadline(before.value, after, facts.deadlines, now=now)
            last = timed if before.value.is_final else retry_if_wanted(timed, facts.retries, now=now, end=facts.end_at)
            waves.setdefault(after.wave, []).append(RolloutChange(before=before, after=last))
    return waves


def with_deadline(before: Rollout, after: Rollout, deadlines: Deadlines, *, now: datetime) -> Rollout:
    """The row with the deadline of its new state; the deadline it has where the state is the same."""
    seconds = deadlines.of(after.state)
    if after.state is before.state or seconds is None:
        return after
    return replace(after, due_at=now + timedelta(seconds=seconds))


def _wake(campaign: CampaignId, shard: int, changes: Sequence[RolloutChange], ports: FoldPorts) -> None:
    """Ask for what follows: an evaluation, further attempts, a visit where an ended row was put right."""
    if retries := request_attempts([change.after for change in changes if _is_retried(change)], shard):
        ports.sender.send(Queue.DEVICE_BATCHES, retries)
    if any(_matters_to_gate(change) for change in changes):
        ports.sender.send(Queue.CAMPAIGN_STEPS, [request_evaluation(campaign, changes[0].after.wave, ports.clock())])
    corrected = [change.after for change in changes if _corrects(change)]
    if corrected:
        now = ports.clock()
        visits = [request_settlement(campaign, alone(row, shard), due=now) for row in corrected]
        ports.sender.send(Queue.BATCH_DEADLINES, visits)


def _wake_later(campaign: CampaignId, changes: Sequence[RolloutChange], ports: FoldPorts) -> None:
    """A late change may concern a wave that has passed, at which nobody looks again should the process die here."""
    if any(change.before.value.is_final and _matters_to_gate(change) for change in changes):
        later = ports.clock() + timedelta(seconds=ASK_AGAIN_S)
        ports.sender.send(Queue.CAMPAIGN_STEPS, [request_evaluation(campaign, changes[0].after.wave, later)])


def _is_retried(change: RolloutChange) -> bool:
    return change.after.attempt > change.before.value.attempt


def _matters_to_gate(change: RolloutChange) -> bool:
    before, after = change.before.value, change.after
    return before.state is not after.state and (before.is_final or after.is_final)


def _corrects(change: RolloutChange) -> bool:
    before, after = change.before.value, change.after
    return before.is_final and (before.state, before.installed_version) != (after.state, after.installed_version)
