"""What holds a campaign back now, in words for operators. Pure: what is looked at is read before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.conflicts import MAX_PRIORITY
from shared.domain.gates import Counters
from shared.domain.pacing import Budget, yields_until
from shared.domain.rates import next_free_at, seconds_per_device
from shared.domain.reversions import ReversionPhase
from shared.domain.rollouts import PROGRESS, RolloutState
from shared.domain.starting import missing_approvals
from shared.domain.stops import FleetStop
from shared.domain.walks import MAX_ROUNDS, gives_up_at
from shared.domain.waves import WaveState
from shared.domain.window_waits import earliest_opening, last_closing

C, S, W = CampaignState, RolloutState, WaveState


class WaitFor(StrEnum):
    """What is waited for. The values are the words on the wire."""

    FLEET_RELEASE = "fleet_release"
    OPERATOR = "operator"
    APPROVAL = "approval"
    SCHEDULE = "schedule"
    WINDOW = "window"
    HUB_BUDGET = "hub_budget"
    BANDWIDTH = "bandwidth"
    PACE = "pace"
    HELD_DEVICES = "held_devices"
    SOAK = "soak"
    WITHDRAWAL = "withdrawal"
    CHILDREN = "children"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing that holds a campaign back.

    Attributes:
        since: From when on; None where nobody knows.
        until: When it ends by itself; None where somebody must do something, or nobody knows.
    """

    what: WaitFor
    words: str
    since: datetime | None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a campaign shares with others, and how far its devices are.

    Attributes:
        counters: Wave number to what its devices are in.
    """

    stop: FleetStop
    budget: Budget
    counters: Mapping[int, Counters] = field(default_factory=dict)


def find_waits(campaign: Campaign, around: Surroundings, *, now: datetime) -> tuple[Wait, ...]:
    """All that holds the campaign back now, what concerns the whole fleet first; empty where it goes on."""
    found = (wait for find in _FINDERS for wait in find(campaign, around, now))
    return tuple(replace(wait, since=_not_before(campaign, wait.since)) for wait in found)


def _not_before(campaign: Campaign, since: datetime | None) -> datetime | None:
    """A stop or a closed window may be older than the campaign: that has waited for as long as it is there."""
    return None if since is None else max(since, campaign.created_at)


def _fleet_stop(campaign: Campaign, around: Surroundings, _now: datetime) -> Iterator[Wait]:
    stop = around.stop
    if stop.stands and not campaign.is_finished:
        words = f"{stop.stopped_by} stopped the whole fleet: {stop.reason}; DELETE /stop lets it go on"
        yield Wait(what=WaitFor.FLEET_RELEASE, words=words, since=stop.stopped_at)


def _state(campaign: Campaign, _around: Surroundings, _now: datetime) -> Iterator[Wait]:
    since = campaign.in_state_since
    match campaign.state:
        case C.PAUSED:
            words = f"an operator must act: {campaign.reason}"
            yield Wait(what=WaitFor.OPERATOR, words=words, since=since)
        case C.AWAITING_APPROVAL:
            words = f"{missing_approvals(campaign)} more people must approve: {campaign.reason}"
            yield Wait(what=WaitFor.APPROVAL, words=words, since=since)
        case C.SCHEDULED:
            until = campaign.start_awaited
            yield Wait(what=WaitFor.SCHEDULE, words=campaign.reason, since=since, until=until)


def _windows(campaign: Campaign, _around: Surroundings, now: datetime) -> Iterator[Wait]:
    """Devices in some place on earth may install: then nobody can say that the campaign as a whole waits."""
    windows, wave = campaign.spec.windows, campaign.wave_in_hand
    if campaign.state is not C.RUNNING or wave is None or wave.started_at is None or not windows:
        return
    opening = earliest_opening(windows, now)
    if opening is not None and opening > now:
        words = "devices download, but none installs: no maintenance window is open anywhere"
        yield Wait(what=WaitFor.WINDOW, words=words, since=last_closing(windows, now), until=opening)


def _slots(campaign: Campaign, around: Surroundings, now: datetime) -> Iterator[Wait]:
    """Why its next device batch is not out yet; each that has no room is named, the slowest decides."""
    wave = campaign.wave_in_hand
    is_dispatching = campaign.state is C.RUNNING and wave is not None and wave.state is W.DISPATCHING
    if not is_dispatching or campaign.step_due_at <= now:
        return
    # Each time it gets slots is a step.
    since = campaign.changed_at
    for what, words, until in _without_room(campaign, around, now):
        if until is not None and until > now:
            yield Wait(what=what, words=words, since=since, until=until)


def _without_room(
    campaign: Campaign, around: Surroundings, now: datetime
) -> Iterator[tuple[WaitFor, str, datetime | None]]:
    budget, spec = around.budget, campaign.spec
    rate = f"{budget.rate_per_s:g} twin updates a second"
    if (until := yields_until(budget, spec.precedence.priority, now=now)) is not None:
        is_campaign = budget.urgent_priority <= MAX_PRIORITY
        who = "a campaign of higher priority has" if is_campaign else "offers that are taken back have"
        yield WaitFor.HUB_BUDGET, f"{who} the hub's next slots", until
    else:
        yield WaitFor.HUB_BUDGET, f"the hub, at {rate} for all campaigns, has no room yet", budget.next_free_at
    if budget.bandwidth_bytes_per_s is not None:
        yield WaitFor.BANDWIDTH, "the fleet's bandwidth has no room yet", budget.wire_free_at
    succeeded = sum(counters.of(S.SUCCEEDED) for counters in around.counters.values())
    device_s = seconds_per_device(spec.pace, campaign.largest_bytes, succeeded)
    yield WaitFor.PACE, "its own rate or bandwidth has no room yet", next_free_at(campaign.paced, device_s)


def _held_devices(campaign: Campaign, around: Surroundings, _now: datetime) -> Iterator[Wait]:
    wave = campaign.wave_in_hand
    if campaign.state is not C.RUNNING or wave is None or wave.state is not W.RUNNING:
        return
    # Where nobody is waited for, a planned row has its time slot already.
    if not (campaign.planning.waiting or campaign.spec.retries.maximum):
        return
    if left := around.counters.get(wave.number, Counters()).of(S.PLANNED):
        words = (
            f"{left} devices of wave {wave.number} have no offer yet, because other campaigns hold them "
            "or they wait for a further attempt or for a time slot"
        )
        yield Wait(what=WaitFor.HELD_DEVICES, words=words, since=wave.started_at)


def _soak(campaign: Campaign, _around: Surroundings, _now: datetime) -> Iterator[Wait]:
    wave = campaign.wave_in_hand
    if campaign.state is C.RUNNING and wave is not None and wave.state is W.SOAKING and wave.soak_until is not None:
        since = wave.soak_until - timedelta(seconds=wave.spec.gate.soak_s)
        words = f"the gate of wave {wave.number} is content and goes on looking"
        yield Wait(what=WaitFor.SOAK, words=words, since=since, until=wave.soak_until)


def _going_back(campaign: Campaign, around: Surroundings, _now: datetime) -> Iterator[Wait]:
    if campaign.reversion is None or campaign.is_finished:
        return
    since = campaign.reversion.ordered_at
    if (walk := campaign.walk_in_hand) is not None:
        left = sum(counters.of(*PROGRESS) for counters in around.counters.values())
        words = f"the offers of {left} devices are being taken back, for time {walk.round} of at most {MAX_ROUNDS}"
        yield Wait(what=WaitFor.WITHDRAWAL, words=words, since=since, until=gives_up_at(walk))
    if campaign.state is C.REVERTING and campaign.reversion.phase is ReversionPhase.WATCHING:
        yield Wait(what=WaitFor.CHILDREN, words=campaign.reason, since=campaign.in_state_since)


type _Finder = Callable[[Campaign, Surroundings, datetime], Iterator[Wait]]
_FINDERS: tuple[_Finder, ...] = (_fleet_stop, _state, _windows, _slots, _held_devices, _soak, _going_back)
