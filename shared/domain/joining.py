"""Devices that begin to match later join the last wave of a dynamic campaign, as further batches of it.

The last wave stays open: its gate can stop the campaign, but not end it. So newcomers get their offers only behind
every gate, at the campaign's pace, and not while its last gate has stopped it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.hub_queries import narrow_query
from shared.domain.ids import DeviceId
from shared.domain.listings import ListingKind, listings
from shared.domain.planning import PlanningPhase
from shared.domain.targeting import Membership
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.waves import DONE_WAVES, DeviceBatch, Wave, WaveState, cut_batches

_SAYS_HARDWARE = " OR ".join(f"IS_DEFINED(properties.reported.{section}.hardware)" for section in ("device", "update"))


def is_open(campaign: Campaign) -> bool:
    """Whether devices may still join it."""
    return campaign.spec.targeting.membership is Membership.DYNAMIC and not campaign.newcomers.is_closed


def is_over(campaign: Campaign) -> bool:
    """Whether it offers nothing to anybody new any more."""
    return campaign.is_finished or campaign.goes_back


def stays_open(campaign: Campaign, wave: Wave) -> bool:
    """Whether the wave cannot pass, because devices may still join it."""
    return is_open(campaign) and wave.number == len(campaign.waves)


def is_look_due(campaign: Campaign, *, now: datetime) -> bool:
    """Whether the hub is to be asked for newcomers now."""
    looks = campaign.newcomers
    is_at_rest = campaign.planning.phase is PlanningPhase.DONE and not campaign.walks and looks.page is None
    is_going_on = campaign.state is CampaignState.RUNNING and campaign.wave_in_hand is not None
    return is_open(campaign) and is_going_on and is_at_rest and (looks.due_at is None or looks.due_at <= now)


def newcomers_query(campaign: Campaign) -> str:
    """The query for all devices that match now, those included that an exclusion's query finds.

    Of several packages none can be chosen for a device that was made and has never said what it is: it joins later.
    """
    targets = next(listing for listing in listings(campaign.spec) if listing.kind is ListingKind.TARGETS)
    return narrow_query(targets.query, _SAYS_HARDWARE) if campaign.other_packages else targets.query


def note_look(campaign: Campaign, *, continuation: str, page: int | None, now: datetime) -> Campaign:
    """The campaign after one page of a look; the next look begins ``relist_s`` after the end of this one."""
    pause = timedelta(seconds=0 if continuation else campaign.spec.targeting.relist_s)
    looks = replace(campaign.newcomers, due_at=now + pause, continuation=continuation, page=page)
    return replace(campaign, newcomers=looks)


def cut_newcomers(
    campaign: Campaign, devices: Sequence[DeviceId], before: Sequence[DeviceBatch], *, size: int
) -> Iterator[tuple[DeviceBatch, list[DeviceId]]]:
    """The batches of devices that join the last wave, numbered on from its batches before."""
    numbers = {shard: sum(batch.shard == shard for batch in before) for shard in range(campaign.shards)}
    for batch, members in cut_batches(len(campaign.waves), devices, campaign.shards, size=size):
        yield replace(batch, number=batch.number + numbers[batch.shard]), members


def join(campaign: Campaign, devices: int, batches: int) -> Campaign:
    """The campaign with so many more devices, in so many more batches, of its last wave.

    Where it has ended meanwhile, or skipped that wave, they are about to be let go again.
    """
    last = campaign.waves[-1]
    grown = replace(last, stop=last.stop + devices, batches=last.batches + batches)
    if last.state in (WaveState.RUNNING, WaveState.SOAKING):
        grown = replace(grown, state=WaveState.DISPATCHING, soak_until=None)
    looks = campaign.newcomers
    joined = replace(
        campaign.with_wave(grown),
        targets=campaign.targets + devices,
        newcomers=replace(looks, page=None, joined=looks.joined + devices),
    )
    if not is_over(campaign) and last.state not in DONE_WAVES:
        return joined
    walk = Walk(purpose=BatchPurpose.RECALL, wave=last.number, last_wave=last.number)
    return replace(joined, walks=(*joined.walks, walk))
