"""Dispatching a wave: its batches go to the queue, each at the time the hub, the bandwidth and its own pace give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign
from shared.domain.errors import Conflict
from shared.domain.pacing import HORIZON_S, Load
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.steps import Change, note_dispatched
from shared.domain.walks import BatchPurpose
from shared.domain.waves import DeviceBatch, Wave
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.offer_loads import load_of, look_again_at, paced_by
from shared.handlers.reserve_slots import Reservation, reserve_slots
from shared.handlers.wakeups import request_visit
from shared.ports.bus import Queue
from shared.ports.rollouts import RolloutStore

LOOKED_AT = 20
"""Batches that one step looks into: seconds, at one query each."""

S = RolloutState


def dispatch_wave(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with more of its wave's batches on the queue, as many as have slots within the next minute."""
    if (wave := campaign.wave_in_hand) is None:
        raise Conflict(f"{campaign.id} has no wave to dispatch")
    known = ports.manifests.read_batches(campaign.id, wave.number)[: wave.batches]
    batches = known[wave.dispatched :]
    if not batches:
        return Change(campaign=note_dispatched(campaign, wave.dispatched), due_at=now)
    load = load_of(campaign, ports.rollouts)
    look = _look_into(campaign, wave, known, load, ports.rollouts)
    reservation = reserve_slots(ports.budget, look.batches, now=now, load=load, sizes=look.sizes)
    _send(campaign, reservation, ports)
    after = note_dispatched(paced_by(campaign, reservation, look.sizes), look.places[len(reservation.slots)])
    all_granted = len(reservation.slots) == len(look.batches)
    return Change(campaign=after, due_at=now if all_granted else look_again_at(campaign, reservation, now=now))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """The batches that are to have slots.

    Attributes:
        sizes: How many devices of each are to be offered the package.
        places: Where each stands in the wave, and last the place behind all that was looked at.
    """

    batches: Sequence[DeviceBatch]
    sizes: list[int]
    places: Sequence[int]


def _look_into(
    campaign: Campaign, wave: Wave, known: Sequence[DeviceBatch], load: Load, rollouts: RolloutStore
) -> _Look:
    """All that are left; where some went out before, or the campaign has a pace of its own, without the ones that have
    their offers.

    A campaign that was resumed goes through its wave again: it would stand still for hours, and take the hub from
    others, if batches that went out before were charged once more.
    """
    first, batches = wave.dispatched, known[wave.dispatched :]
    if not campaign.spec.pace.is_bounded and not _went_out_before(campaign, wave, known[:first], rollouts):
        places = range(first, first + len(batches) + 1)
        return _Look(batches=batches, sizes=[batch.count for batch in batches], places=places)
    sizes = _count_lacking(campaign, batches[:LOOKED_AT], load.device_s, rollouts)
    wanted = [place for place, size in enumerate(sizes) if size]
    return _Look(
        batches=[batches[place] for place in wanted],
        sizes=[sizes[place] for place in wanted],
        places=[*(first + place for place in wanted), first + len(sizes)],
    )


def _went_out_before(campaign: Campaign, wave: Wave, dispatched: Sequence[DeviceBatch], rollouts: RolloutStore) -> bool:
    """Whether more devices have had an offer than the batches hold that the wave's cursor is past."""
    counters = rollouts.read_counters(campaign.id, wave.number, campaign.shards)
    offered = counters.total - counters.of(S.PLANNED, S.SKIPPED, S.CANCELLED)
    return offered > sum(batch.count for batch in dispatched)


def _count_lacking(
    campaign: Campaign, batches: Sequence[DeviceBatch], device_s: float, rollouts: RolloutStore
) -> list[int]:
    """How many devices of each batch lack their offer, of as many batches as the pace may let go within a minute."""
    sizes: list[int] = []
    for batch in batches:
        if sum(sizes) * device_s > HORIZON_S:
            break
        sizes.append(sum(_lacks_offer(row.value) for row in rollouts.read_batch(campaign.id, batch)))
    return sizes


def _lacks_offer(rollout: Rollout) -> bool:
    """Further attempts have slots of their own."""
    return rollout.sent_at is None and rollout.retry_at is None and rollout.state in (S.PLANNED, S.OFFERED)


def _send(campaign: Campaign, reservation: Reservation, ports: CampaignPorts) -> None:
    """A batch is first visited when a deadline may have passed; the visit then says when the next one may."""
    if not reservation.slots:
        return
    patience = timedelta(seconds=campaign.spec.deadlines.shortest_s)
    visits = [request_visit(campaign.id, batch, due=at + patience) for batch, at in reservation.slots]
    ports.sender.send(Queue.BATCH_DEADLINES, visits)
    ports.sender.send(Queue.DEVICE_BATCHES, list(reservation.work(campaign.id, BatchPurpose.OFFER, campaign.step)))
