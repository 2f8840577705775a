"""Walking through the batches of a campaign: each goes to the queue, within the hub's budget."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign
from shared.domain.retries import RETRYABLE
from shared.domain.rollouts import PROGRESS, RolloutState
from shared.domain.steps import Change
from shared.domain.walks import BatchPurpose, Walk
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.reserve_slots import reserve_slots
from shared.handlers.wakeups import request_visit
from shared.ports.bus import Queue

S = RolloutState

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
        return Change(campaign=_with(campaign, walk, None), due_at=now)
    batches = ports.manifests.read_batches(campaign.id, walk.wave)[walk.batches :]
    if not batches or not _concerns_wave(campaign, walk, ports):
        return Change(campaign=_with(campaign, walk, replace(walk, wave=walk.wave + 1, batches=0)), due_at=now)
    reservation = reserve_slots(ports.budget, batches, now=now)
    if reservation.slots:
        settle = timedelta(seconds=SETTLE_AFTER_S)
        visits = [request_visit(campaign.id, batch, due=at + settle) for batch, at in reservation.slots]
        ports.sender.send(Queue.DEVICE_BATCHES, list(reservation.work(campaign.id, walk.purpose, campaign.step)))
        ports.sender.send(Queue.BATCH_DEADLINES, visits)
    further = replace(walk, batches=walk.batches + len(reservation.slots))
    all_out = len(reservation.slots) == len(batches)
    return Change(campaign=_with(campaign, walk, further), due_at=now if all_out else reservation.look_again_at)


def _concerns_wave(campaign: Campaign, walk: Walk, ports: CampaignPorts) -> bool:
    counters = ports.rollouts.read_counters(campaign.id, walk.wave, campaign.shards)
    return counters.of(*_CONCERNS[walk.purpose]) > 0


def _with(campaign: Campaign, before: Walk, after: Walk | None) -> Campaign:
    """The campaign with the walk further on, or without it."""
    changed = tuple(after if walk is before else walk for walk in campaign.walks)
    return replace(campaign, walks=tuple(walk for walk in changed if walk is not None))
