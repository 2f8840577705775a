"""Walking through the batches of a campaign: each goes to the queue, within the hub's budget where it writes twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign
from shared.domain.ids import CampaignId
from shared.domain.in_hand import may_hold_offer
from shared.domain.joining import is_over
from shared.domain.pacing import TAKE_BACK_LOAD
from shared.domain.retries import RETRYABLE
from shared.domain.rollouts import PROGRESS, RolloutState
from shared.domain.steps import Change
from shared.domain.walks import TAKES_BACK, BatchPurpose, Walk, look_after
from shared.domain.waves import DeviceBatch
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.offer_loads import load_of, look_again_at, paced_by
from shared.handlers.reserve_slots import Reservation, reserve_slots
from shared.handlers.wakeups import request_visit
from shared.ports.bus import Queue
from shared.ports.rollouts import RolloutStore

S = RolloutState

LOOKED_AT = 20
"""Batches that one step looks into: seconds, at one query each."""

SKIPPED_BATCHES = 100
"""Batches that one step of a skip puts on the queue: no twin is written, so that the hub has no say in it."""

SETTLE_AFTER_S = 60.0
"""A batch is visited this long after its work: the visit finds the rows ended and frees the devices."""

_CONCERNS: Mapping[BatchPurpose, Set[RolloutState]] = {
    BatchPurpose.WITHDRAW: frozenset(PROGRESS),
    BatchPurpose.RECALL: frozenset({S.PLANNED, S.OFFERED}),
    BatchPurpose.SKIP: frozenset({S.PLANNED}),
    BatchPurpose.RETRY: RETRYABLE,
}
"""The states of the devices that a walk is about; a wave without such a device is passed over."""


def walk_batches(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change | None:
    """The campaign with more work of its walk on the queue."""
    if (walk := campaign.walk_in_hand) is None:
        return None
    if walk.wave > walk.last_wave:
        return _look_after(campaign, walk, ports, now=now)
    batches = ports.manifests.read_batches(campaign.id, walk.wave)[walk.batches :]
    if not batches or not _concerns_wave(campaign, walk, walk.wave, ports):
        return Change(campaign=_with(campaign, walk, replace(walk, wave=walk.wave + 1, batches=0)), due_at=now)
    if walk.purpose is BatchPurpose.SKIP:
        return _skip(campaign, walk, batches, ports, now)
    looked_at = batches[:LOOKED_AT]
    found = [_look_into(walk.purpose, campaign.id, batch, ports.rollouts) for batch in looked_at]
    wanted = [place for place, look in enumerate(found) if look.concerned]
    sizes = [found[place].charged for place in wanted]
    is_retry = walk.purpose is BatchPurpose.RETRY
    load = load_of(campaign, ports.rollouts) if is_retry else TAKE_BACK_LOAD
    asked = [looked_at[place] for place in wanted]
    reservation = reserve_slots(ports.budget, asked, now=now, load=load, sizes=sizes)
    _send(campaign, walk, reservation, ports)
    places = [*wanted, len(looked_at)]
    further = replace(walk, batches=walk.batches + places[len(reservation.slots)])
    after = _with(paced_by(campaign, reservation, sizes) if is_retry else campaign, walk, further)
    all_out = len(reservation.slots) == len(asked)
    return Change(campaign=after, due_at=now if all_out else look_again_at(campaign, reservation, now=now))


def _skip(
    campaign: Campaign, walk: Walk, batches: Sequence[DeviceBatch], ports: CampaignPorts, now: datetime
) -> Change:
    slots = tuple((batch, now) for batch in batches[:SKIPPED_BATCHES])
    _send(campaign, walk, Reservation(slots=slots, look_again_at=now), ports)
    return Change(campaign=_with(campaign, walk, replace(walk, batches=walk.batches + len(slots))), due_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A batch, as far as a walk goes.

    Attributes:
        concerned: How many of its devices the walk is about.
        charged: For how many of them a twin is written.
    """

    concerned: int
    charged: int


def _look_into(purpose: BatchPurpose, campaign: CampaignId, batch: DeviceBatch, rollouts: RolloutStore) -> _Look:
    """Devices that are to be offered the package once more are charged as for the first time; those that never had an
    offer have nothing that could be taken back."""
    rows = [row.value for row in rollouts.read_batch(campaign, batch) if row.value.state in _CONCERNS[purpose]]
    charged = sum(purpose is BatchPurpose.RETRY or may_hold_offer(row) for row in rows)
    return _Look(concerned=len(rows), charged=charged)


def _send(campaign: Campaign, walk: Walk, reservation: Reservation, ports: CampaignPorts) -> None:
    if not reservation.slots:
        return
    settle = timedelta(seconds=SETTLE_AFTER_S)
    visits = [request_visit(campaign.id, batch, due=at + settle) for batch, at in reservation.slots]
    ports.sender.send(Queue.DEVICE_BATCHES, list(reservation.work(campaign.id, walk.purpose, campaign.step)))
    ports.sender.send(Queue.BATCH_DEADLINES, visits)


def _look_after(campaign: Campaign, walk: Walk, ports: CampaignPorts, *, now: datetime) -> Change:
    """Only where nothing else is left to do is it waited for: a campaign that goes on has its visits."""
    is_waited_for = walk.purpose in TAKES_BACK and is_over(campaign)
    is_done = not is_waited_for or not any(
        _concerns_wave(campaign, walk, wave, ports) for wave in range(1, walk.last_wave + 1)
    )
    after, due_at = look_after(walk, is_done=is_done, now=now)
    return Change(campaign=_with(campaign, walk, after), due_at=due_at)


def _concerns_wave(campaign: Campaign, walk: Walk, wave: int, ports: CampaignPorts) -> bool:
    counters = ports.rollouts.read_counters(campaign.id, wave, campaign.shards)
    return counters.of(*_CONCERNS[walk.purpose]) > 0


def _with(campaign: Campaign, before: Walk, after: Walk | None) -> Campaign:
    """The campaign with the walk further on, or without it."""
    changed = tuple(after if walk is before else walk for walk in campaign.walks)
    return replace(campaign, walks=tuple(walk for walk in changed if walk is not None))
