"""What offers of a campaign are charged, and where its own pace stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign
from shared.domain.pacing import Load
from shared.domain.rates import ExponentialRate, Paced, next_free_at, seconds_per_device
from shared.domain.rollouts import RolloutState
from shared.handlers.reserve_slots import Reservation
from shared.ports.rollouts import RolloutStore

GROWTH_LOOK_S = 20.0


def load_of(campaign: Campaign, rollouts: RolloutStore) -> Load:
    """What each device is charged, whichever its attempt: what it fetches, its campaign's pace and priority."""
    length_bytes, pace = campaign.largest_bytes, campaign.spec.pace
    grows = isinstance(pace.rate, ExponentialRate)
    device_s = seconds_per_device(pace, length_bytes, _succeeded(campaign, rollouts) if grows else 0)
    return Load(
        priority=campaign.spec.precedence.priority,
        length_bytes=length_bytes,
        device_s=device_s,
        free_at=next_free_at(campaign.paced, device_s),
    )


def paced_by(campaign: Campaign, reservation: Reservation, sizes: list[int]) -> Campaign:
    """The campaign behind the slots it got, as far as its own pace goes.

    Args:
        sizes: Devices of each batch that a slot was asked for.
    """
    if not reservation.slots or not campaign.spec.pace.is_bounded:
        return campaign
    last = len(reservation.slots) - 1
    return replace(campaign, paced=Paced(at=reservation.slots[last][1], devices=sizes[last]))


def look_again_at(campaign: Campaign, reservation: Reservation, *, now: datetime) -> datetime:
    """A rate that grows is looked at often, because the next slot may come sooner than it seems now."""
    if not isinstance(campaign.spec.pace.rate, ExponentialRate):
        return reservation.look_again_at
    return min(reservation.look_again_at, now + timedelta(seconds=GROWTH_LOOK_S))


def _succeeded(campaign: Campaign, rollouts: RolloutStore) -> int:
    """Over all waves that have begun, from their counters."""
    started = [wave.number for wave in campaign.waves if wave.started_at is not None]
    counters = [rollouts.read_counters(campaign.id, number, campaign.shards) for number in started]
    return sum(each.of(RolloutState.SUCCEEDED) for each in counters)
