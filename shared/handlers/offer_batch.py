"""Offering to a device batch in its time slot: mark it offered, write its twins, stamp what was written.

The three steps are repeatable at any point: marking lowers no state, only rows without ``sent_at`` are written, and a
twin written twice holds the same claim. What the hub has no room for goes out again later, as a new message, which asks
for a slot anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.campaign_specs import Deadlines
from shared.domain.campaigns import Campaign
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.quotas import quota_reason
from shared.domain.retries import cut_short
from shared.domain.rollouts import DEVICE_NOT_FOUND, Rollout, RolloutState, move
from shared.domain.starting import may_offer
from shared.domain.waves import WaveState
from shared.handlers.contention import until_written
from shared.handlers.hub_verdicts import adjust_rate, retry_at, wants_retry
from shared.handlers.mark_offers import mark_offers
from shared.handlers.sign_offers import OfferKeys, sign_offers
from shared.handlers.spec_desk import SpecDesk
from shared.handlers.take_over import TakeOverPorts, look_again_s
from shared.handlers.wakeups import request_evaluation, request_work_again, request_work_later, utc_now
from shared.handlers.withdraw_package import find_withdrawn
from shared.ports.bus import MessageSender, Queue
from shared.ports.campaigns import BudgetStore, CampaignStore, ManifestStore
from shared.ports.errors import QuotaExceeded
from shared.ports.hub import TwinOutcome, TwinResult, TwinWriter
from shared.ports.packages import PackageStore
from shared.ports.rollouts import DeviceStore, RolloutChange, RolloutStore
from shared.ports.stops import StopStore
from shared.ports.stored import Stored
from shared.trust.specs import SpecUntrusted
from shared.wire.messages import BatchWork

log = logging.getLogger(__name__)

S = RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchPorts:
    """What dispatching needs from outside.

    Attributes:
        stop_untrusted: What to do about a campaign that is not what was signed when it was posted.
        pause: Pauses a campaign for a reason, see ``shared.handlers.pause_campaign``.
    """

    campaigns: CampaignStore
    manifests: ManifestStore
    rollouts: RolloutStore
    devices: DeviceStore
    twins: TwinWriter
    budget: BudgetStore
    stops: StopStore
    sender: MessageSender
    keys: OfferKeys
    specs: SpecDesk
    packages: PackageStore
    stop_untrusted: Callable[[Campaign, SpecUntrusted, datetime], None]
    pause: Callable[[CampaignId, str, datetime], None]
    clock: Callable[[], datetime] = utc_now

    @property
    def take_over_ports(self) -> TakeOverPorts:
        """What taking over devices needs."""
        return TakeOverPorts(
            campaigns=self.campaigns,
            rollouts=self.rollouts,
            devices=self.devices,
            sender=self.sender,
            clock=self.clock,
        )


def offer_batch(work: BatchWork, campaign: Campaign, ports: DispatchPorts, *, now: datetime) -> None:
    """Offer the package to the devices of the batch that have no offer yet, and whose slot this is.

    Raises:
        PortError: A service needed for it is down, or the rows change too fast; offering again is safe.
    """
    if not is_its_time(work, campaign, ports, now=now) or not _may_be_offered(campaign, ports, now):
        return
    what = name_of(work)
    marked = until_written(lambda: mark_offers(work, campaign, ports.take_over_ports, now=now), what=what)
    if marked.left_out:
        ports.sender.send(Queue.CAMPAIGN_STEPS, [request_evaluation(campaign.id, work.batch.wave, ports.clock())])
    if marked.has_waiting:
        again_s = look_again_s(campaign, work.batch.wave, now=now)
        ports.sender.send(Queue.DEVICE_BATCHES, [request_work_later(work, now=now, every_s=again_s)])
    if not marked.unsent:
        return
    try:
        results = ports.twins.write(sign_offers(campaign, marked.unsent, ports.keys, now=now))
    except QuotaExceeded:
        log.exception("%s is paused: the hub's daily quota is used up", campaign.id)
        ports.pause(campaign.id, quota_reason(now), now)
        return
    _stamp(work, marked.rows, results, campaign, ports, now)
    adjust_rate(ports.budget, results, now=now)
    if wants_retry(results):
        again = request_work_again(work, enqueue_at=retry_at(work.retry, now=now))
        ports.sender.send(Queue.DEVICE_BATCHES, [again])


def is_its_time(work: BatchWork, campaign: Campaign, ports: DispatchPorts, *, now: datetime) -> bool:
    """Whether the batch may be offered the package now. If not, it comes back once the fleet is released, or rows that
    wait for a further attempt are ended, because nobody will ever offer them one."""
    if not may_offer(campaign, work.batch.wave, now=now):
        log.info("%s is %s: the offers of a batch are dropped", campaign.id, campaign.state)
        if campaign.is_finished:
            _leave_out(work, ports, S.CANCELLED, "campaign_over", now)
        return False
    if _is_skipped(campaign, work):
        log.info("wave %d of %s is skipped: the offers of a batch are dropped", work.batch.wave, campaign.id)
        _leave_out(work, ports, S.SKIPPED, "wave_skipped", now)
        return False
    if ports.stops.get().value.stands:
        log.warning("the fleet is stopped: %s waits", name_of(work))
        ports.sender.send(Queue.DEVICE_BATCHES, [request_work_later(work, now=now)])
        return False
    return True


def _leave_out(work: BatchWork, ports: DispatchPorts, state: RolloutState, code: str, now: datetime) -> None:
    def attempt() -> None:
        changes = [
            RolloutChange(
                before=row,
                after=cut_short(row.value, state, now=now, code=code),
            )
            for row in ports.rollouts.read_batch(work.campaign, work.batch)
            if row.value.state is S.PLANNED and row.value.retry_at is not None
        ]
        ports.rollouts.write(work.campaign, work.batch.shard, changes)

    until_written(attempt, what=name_of(work))


def _is_skipped(campaign: Campaign, work: BatchWork) -> bool:
    return any(wave.number == work.batch.wave and wave.state is WaveState.SKIPPED for wave in campaign.waves)


def _may_be_offered(campaign: Campaign, ports: DispatchPorts, now: datetime) -> bool:
    """Whether the campaign is what was signed when it was posted, and its packages still stand; one read for each."""
    try:
        ports.specs.check(campaign)
    except SpecUntrusted as error:
        ports.stop_untrusted(campaign, error, now)
        return False
    if (withdrawn := find_withdrawn(campaign, ports.packages)) is not None:
        log.warning("%s: %s was withdrawn, the offers of a batch are dropped", campaign.id, withdrawn.path)
        return False
    return True


def name_of(work: BatchWork) -> str:
    """The batch, for logs and errors."""
    return f"batch {work.batch.number} of wave {work.batch.wave} of {work.campaign}"


def _stamp(
    work: BatchWork,
    rows: Sequence[Stored[Rollout]],
    results: Sequence[TwinResult],
    campaign: Campaign,
    ports: DispatchPorts,
    now: datetime,
) -> None:
    """Write down how each twin write ended; the first try needs no second read of the rows."""
    outcomes = {result.device: result for result in results}
    known: list[Sequence[Stored[Rollout]]] = [rows]

    def attempt() -> list[RolloutChange]:
        current = known.pop() if known else ports.rollouts.read_batch(work.campaign, work.batch)
        changes = _stamps(current, outcomes, campaign.spec.deadlines, now)
        ports.rollouts.write(work.campaign, work.batch.shard, changes)
        return changes

    ended = [
        change.after
        for change in until_written(attempt, what=name_of(work))
        if change.after.state in (S.SKIPPED, S.FAILED)
    ]
    if ended:
        ports.sender.send(Queue.CAMPAIGN_STEPS, [request_evaluation(campaign.id, work.batch.wave, ports.clock())])


def _stamps(
    rows: Sequence[Stored[Rollout]], outcomes: Mapping[DeviceId, TwinResult], deadlines: Deadlines, now: datetime
) -> list[RolloutChange]:
    stamped = [(row, _stamped(row.value, outcomes.get(row.value.device), deadlines, now)) for row in rows]
    return [RolloutChange(before=row, after=after) for row, after in stamped if after != row.value]


def _stamped(rollout: Rollout, result: TwinResult | None, deadlines: Deadlines, now: datetime) -> Rollout:
    if rollout.sent_at is not None or result is None:
        return rollout
    match result.outcome:
        case TwinOutcome.WRITTEN if rollout.state is S.OFFERED:
            # The wait for the device begins with the twin, not with the mark: throttled batches lie between them.
            return replace(rollout, sent_at=now, due_at=now + timedelta(seconds=deadlines.offered_s))
        case TwinOutcome.WRITTEN:
            return replace(rollout, sent_at=now)
        case TwinOutcome.NO_DEVICE:
            return move(rollout, S.SKIPPED, now=now, code=DEVICE_NOT_FOUND, detail="not in IoT Hub's registry")
        case TwinOutcome.REFUSED:
            return move(rollout, S.FAILED, now=now, code="twin_refused", detail=result.detail)
        case TwinOutcome.THROTTLED | TwinOutcome.UNAVAILABLE:
            return rollout
