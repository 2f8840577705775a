"""The next step of a campaign, and what a campaign is after a step. Pure: the handlers do what a step asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.audit import GATE, AuditEntry
from shared.domain.campaigns import STEPPING, Campaign, CampaignState
from shared.domain.endings import give_up
from shared.domain.errors import Conflict
from shared.domain.gates import OnStop
from shared.domain.joining import stays_open
from shared.domain.planning import RECUTTING, PlanningPhase
from shared.domain.reversions import ReversionPhase
from shared.domain.reverting import begin_reverting
from shared.domain.skips import SkipCounts, SkipReason
from shared.domain.starting import missing_approvals
from shared.domain.verdicts import Decision, Verdict
from shared.domain.waves import DONE_WAVES, Wave, WaveState

REEVALUATE_S = 120.0
"""A running wave is looked at this often even when nothing is heard of it."""

QUIET_S = 60.0
"""A step this much overdue means that nothing was heard of its wave for minutes."""


class StepKind(StrEnum):
    """What a campaign needs next."""

    LIST_PAGE = "list_page"
    ORDER_TARGETS = "order_targets"
    CLAIM_BATCHES = "claim_batches"
    BEGIN = "begin"
    AWAIT_APPROVAL = "await_approval"
    START_WAVE = "start_wave"
    DISPATCH = "dispatch"
    EVALUATE = "evaluate"
    COMPLETE = "complete"
    LIST_FILTERS = "list_filters"
    CUT_WAVES = "cut_waves"
    MOVE_BATCHES = "move_batches"
    WALK = "walk"
    COLLECT_REVERTS = "collect_reverts"
    START_REVERTS = "start_reverts"
    WATCH_REVERTS = "watch_reverts"
    TELL_CHILDREN = "tell_children"
    NOTHING = "nothing"


_PLANNING_STEPS = {
    PlanningPhase.LISTING: StepKind.LIST_PAGE,
    PlanningPhase.ORDERING: StepKind.ORDER_TARGETS,
    PlanningPhase.CLAIMING: StepKind.CLAIM_BATCHES,
}
_RECUTTING_STEPS = {
    PlanningPhase.FILTERING: StepKind.LIST_FILTERS,
    PlanningPhase.CUTTING: StepKind.CUT_WAVES,
    PlanningPhase.MOVING: StepKind.MOVE_BATCHES,
}
_REVERTING_STEPS = {
    ReversionPhase.COLLECTING: StepKind.COLLECT_REVERTS,
    ReversionPhase.STARTING: StepKind.START_REVERTS,
    ReversionPhase.WATCHING: StepKind.WATCH_REVERTS,
}
_WAVE_STEPS = {
    WaveState.PENDING: StepKind.START_WAVE,
    WaveState.DISPATCHING: StepKind.DISPATCH,
    WaveState.RUNNING: StepKind.EVALUATE,
    WaveState.SOAKING: StepKind.EVALUATE,
}


_JUDGED = frozenset({WaveState.DISPATCHING, WaveState.RUNNING, WaveState.SOAKING})


def next_step(campaign: Campaign) -> StepKind:
    """The one step the campaign's state asks for."""
    if (recutting := _RECUTTING_STEPS.get(campaign.planning.phase)) is not None:
        return recutting
    if campaign.walk_in_hand is not None:
        return StepKind.WALK
    if campaign.has_untold_children:
        return StepKind.TELL_CHILDREN
    find = _STEPS_OF.get(campaign.state)
    return find(campaign) if find else StepKind.NOTHING


def _planning_step(campaign: Campaign) -> StepKind:
    return _PLANNING_STEPS.get(campaign.planning.phase, StepKind.NOTHING)


def _reverting_step(campaign: Campaign) -> StepKind:
    if (reversion := campaign.reversion) is None:
        return StepKind.NOTHING
    if reversion.phase is ReversionPhase.STARTING and missing_approvals(campaign):
        return StepKind.AWAIT_APPROVAL
    return _REVERTING_STEPS[reversion.phase]


def _running_step(campaign: Campaign) -> StepKind:
    if (wave := campaign.wave_in_hand) is None:
        return StepKind.COMPLETE
    if wave.state is WaveState.PENDING and missing_approvals(campaign):
        return StepKind.AWAIT_APPROVAL
    return _WAVE_STEPS.get(wave.state, StepKind.NOTHING)


_STEPS_OF: Mapping[CampaignState, Callable[[Campaign], StepKind]] = {
    CampaignState.PLANNING: _planning_step,
    CampaignState.SCHEDULED: lambda _campaign: StepKind.BEGIN,
    CampaignState.RUNNING: _running_step,
    CampaignState.REVERTING: _reverting_step,
}


def is_judged(campaign: Campaign) -> bool:
    """Whether the gate of the wave in hand may have something to say, whatever step is next."""
    wave = campaign.wave_in_hand
    return campaign.state is CampaignState.RUNNING and wave is not None and wave.state in _JUDGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a campaign shall become, and when its next step is due.

    Attributes:
        told: The audit entry that tells of it; None for what needs none, or has told by itself.
    """

    campaign: Campaign
    due_at: datetime
    told: AuditEntry | None = None


def take_step(before: Campaign, change: Change, *, now: datetime) -> Campaign:
    """The campaign one step on: messages for earlier steps are stale from now on."""
    due_at = _when_due(change.campaign, change.due_at)
    since = before.state_since if change.campaign.state is before.state else now
    return replace(change.campaign, step=before.step + 1, step_due_at=due_at, changed_at=now, state_since=since)


def _when_due(campaign: Campaign, due_at: datetime) -> datetime:
    """A campaign that waits is due when its wait ends; one that works is due no later than its schedule's end."""
    start, end = campaign.start_awaited, campaign.end_awaited
    is_walking = campaign.walk_in_hand is not None or campaign.planning.phase in RECUTTING
    if campaign.state is CampaignState.SCHEDULED and start is not None and not is_walking:
        return max(due_at, start)
    if end is None:
        return due_at
    return min(due_at, end) if is_walking or campaign.state in STEPPING else max(due_at, end)


def start_wave(campaign: Campaign, *, now: datetime) -> Campaign:
    """The campaign with the wave in hand dispatching.

    Raises:
        Conflict: The wave is not pending, or a wave before it neither passed nor was skipped (invariant I5).
    """
    wave = _wave_in_hand(campaign)
    closed = [before for before in campaign.waves if before.number < wave.number and before.state not in DONE_WAVES]
    if wave.state is not WaveState.PENDING or closed:
        raise Conflict(f"wave {wave.number} of {campaign.id} cannot start: it is {wave.state} behind {closed}")
    return campaign.with_wave(replace(wave, state=WaveState.DISPATCHING, started_at=now))


def note_dispatched(campaign: Campaign, batches: int) -> Campaign:
    """The campaign with so many batches of the wave in hand on the queue; the last one sets the wave running."""
    wave = _wave_in_hand(campaign)
    state = WaveState.RUNNING if batches >= wave.batches else WaveState.DISPATCHING
    return campaign.with_wave(replace(wave, dispatched=batches, state=state))


def dispatch_again(wave: Wave) -> Wave:
    """The wave with all its batches to go out once more; rows already sent are left alone by the dispatch."""
    return replace(wave, state=WaveState.DISPATCHING, dispatched=0, soak_until=None, ended_at=None, reason="")


def apply_verdict(campaign: Campaign, verdict: Verdict, *, now: datetime) -> Change | None:
    """What the gate's verdict makes of the campaign; None where it changes nothing now.

    A wave that is still being dispatched can be stopped, and passes only once all its batches are out.
    """
    wave = _wave_in_hand(campaign)
    if verdict.decision is Decision.STOP:
        return _stop(campaign, wave, verdict, now)
    if wave.state is WaveState.DISPATCHING:
        return None
    if verdict.decision is Decision.WAIT:
        return _leave_soak(campaign, wave, now)
    return _pass_or_soak(campaign, wave, verdict, now)


def complete(campaign: Campaign, skips: SkipCounts | None = None) -> Campaign:
    """The campaign after its last wave.

    Args:
        skips: Why devices of all its waves were skipped, as far as that was counted.
    """
    left_out = [str(wave.number) for wave in campaign.waves if wave.state is WaveState.SKIPPED]
    passed, waves = len(campaign.waves) - len(left_out), len(campaign.waves)
    reason = (
        f"{passed} of {waves} waves passed, {' and '.join(left_out)} were skipped"
        if left_out
        else f"all {waves} waves passed"
    )
    if skipped := campaign.planning.skipped:
        reason += f"; {skipped} of {campaign.targets} devices were skipped, because other campaigns hold them"
    if current := campaign.planning.current:
        reason += f"; {current} of {campaign.targets} devices ran the version already"
    if unfit := campaign.planning.no_package:
        reason += f"; for {unfit} of {campaign.targets} devices none of its packages is known to be"
    if skips is not None:
        reason += _who_is_lost(skips, campaign.targets)
    return replace(campaign, state=CampaignState.COMPLETED, reason=reason)


def _who_is_lost(skips: SkipCounts, targets: int) -> str:
    unknown, deleted = skips.of(SkipReason.NOT_FOUND), skips.of(SkipReason.DELETED)
    return (f"; IoT Hub does not know {unknown} of {targets} devices" if unknown else "") + (
        f"; {deleted} of {targets} devices were deleted in IoT Hub before they had ended" if deleted else ""
    )


def abort(campaign: Campaign, reason: str) -> Campaign:
    """The campaign given up, with the sentence that says why."""
    return replace(campaign, state=CampaignState.ABORTED, reason=reason)


def _wave_in_hand(campaign: Campaign) -> Wave:
    if (wave := campaign.wave_in_hand) is None:
        raise Conflict(f"{campaign.id} has no wave left")
    return wave


def _stop(campaign: Campaign, wave: Wave, verdict: Verdict, now: datetime) -> Change:
    failed = replace(
        wave, state=WaveState.FAILED, verdict=verdict, reason=verdict.reason, ended_at=now, soak_until=None
    )
    reason = f"the gate of wave {wave.number} ({wave.spec.name}) stopped it: {verdict.reason}"
    stopped = campaign.with_wave(failed)
    match wave.spec.gate.on_stop:
        case OnStop.PAUSE:
            return Change(campaign=replace(stopped, state=CampaignState.PAUSED, reason=reason), due_at=now)
        case OnStop.ABORT:
            return Change(campaign=give_up(stopped, reason, now=now), due_at=now)
        case OnStop.REVERT:
            return Change(campaign=begin_reverting(stopped, reason, who=GATE, now=now), due_at=now)


def _leave_soak(campaign: Campaign, wave: Wave, now: datetime) -> Change | None:
    if wave.soak_until is None or now < wave.soak_until:
        return None
    running = replace(wave, state=WaveState.RUNNING, soak_until=None)
    return Change(campaign=campaign.with_wave(running), due_at=now + timedelta(seconds=REEVALUATE_S))


def _pass_or_soak(campaign: Campaign, wave: Wave, verdict: Verdict, now: datetime) -> Change | None:
    if stays_open(campaign, wave):
        return None
    if wave.state is WaveState.RUNNING and wave.spec.gate.soak_s > 0 and wave.devices:
        until = now + timedelta(seconds=wave.spec.gate.soak_s)
        soaking = replace(wave, state=WaveState.SOAKING, soak_until=until, verdict=verdict, reason=verdict.reason)
        return Change(campaign=campaign.with_wave(soaking), due_at=until)
    if wave.soak_until is not None and now < wave.soak_until:
        return None
    passed = replace(wave, state=WaveState.PASSED, verdict=verdict, reason=verdict.reason, ended_at=now)
    return Change(campaign=campaign.with_wave(passed), due_at=now)
