"""What operators may do to a campaign, and what it is afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.endings import give_up
from shared.domain.errors import Conflict, DomainError
from shared.domain.gates import Counters
from shared.domain.people import name_of
from shared.domain.planning import RECUTTING, PlanningPhase
from shared.domain.plans import digest_plan
from shared.domain.reversions import Wish
from shared.domain.reverting import begin_reverting, tell
from shared.domain.starting import approve, awaited_wave, go_on, has_approved
from shared.domain.steps import dispatch_again
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.waves import DONE_WAVES, Wave, WaveState

C = CampaignState


class OperatorAction(StrEnum):
    """What an operator asks for; the values are the words in URLs."""

    APPROVE = "approve"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    SKIP_WAVE = "skip-wave"
    RETRY_FAILED = "retry-failed"
    CANCEL = "cancel"
    FORCE_CANCEL = "force-cancel"
    REVERT = "revert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An action with all it needs to know.

    Attributes:
        wave: The wave that shall be skipped, or that was looked at before approving; an action on "the wave in hand"
            would be one on another wave when repeated.
        acknowledged: What the wave in hand has suffered so far; resuming after its gate stopped accepts it.
        who: The label of who asks for it, see ``shared.domain.people``.
        remark: What they say to it.
        plan_sha256: Digest of the plan that they looked at; None where they do not say.
    """

    action: OperatorAction
    who: str
    now: datetime
    wave: int | None = None
    acknowledged: Counters = field(default_factory=Counters)
    remark: str = ""
    plan_sha256: str | None = None


_ENDABLE = frozenset({C.PLANNING, C.AWAITING_APPROVAL, C.SCHEDULED, C.RUNNING, C.PAUSED, C.REVERTING})
FITS: Mapping[OperatorAction, frozenset[CampaignState]] = {
    OperatorAction.APPROVE: frozenset({C.AWAITING_APPROVAL}),
    OperatorAction.START: frozenset({C.SCHEDULED}),
    OperatorAction.PAUSE: frozenset({C.PLANNING, C.AWAITING_APPROVAL, C.SCHEDULED, C.RUNNING, C.REVERTING}),
    OperatorAction.RESUME: frozenset({C.PAUSED}),
    OperatorAction.SKIP_WAVE: frozenset({C.RUNNING, C.PAUSED}),
    OperatorAction.RETRY_FAILED: frozenset({C.RUNNING, C.PAUSED, C.COMPLETED}),
    OperatorAction.CANCEL: _ENDABLE,
    OperatorAction.FORCE_CANCEL: _ENDABLE | {C.ABORTED},
    OperatorAction.REVERT: frozenset({C.AWAITING_APPROVAL, C.RUNNING, C.PAUSED, C.COMPLETED, C.ABORTED}),
}
"""The states in which an action changes something."""

HOLDS: Mapping[OperatorAction, frozenset[CampaignState]] = {
    OperatorAction.APPROVE: frozenset(),
    OperatorAction.START: frozenset({C.RUNNING}),
    OperatorAction.PAUSE: frozenset({C.PAUSED}),
    OperatorAction.RESUME: frozenset({C.PLANNING, C.AWAITING_APPROVAL, C.SCHEDULED, C.RUNNING, C.REVERTING}),
    OperatorAction.CANCEL: frozenset({C.ABORTED}),
    OperatorAction.REVERT: frozenset({C.REVERTING, C.REVERTED}),
}
"""The states in which what it asks for is so already."""

GOING_BACK = frozenset(
    {
        OperatorAction.APPROVE,
        OperatorAction.PAUSE,
        OperatorAction.RESUME,
        OperatorAction.CANCEL,
        OperatorAction.FORCE_CANCEL,
        OperatorAction.REVERT,
    }
)
"""What fits a campaign that is being reverted, whether it waits, rests or goes on; reverting it holds already."""


GOING_ON = frozenset({OperatorAction.APPROVE, OperatorAction.START, OperatorAction.RESUME, OperatorAction.RETRY_FAILED})
"""What leads to offers: it takes the campaign as it was signed, and none of its packages withdrawn."""


def act(campaign: Campaign, request: Request) -> Campaign | None:
    """The campaign after the action; None where the action holds already.

    Raises:
        Conflict: The action does not fit the state, and the message names the actions that do; or the plan changed.
        Forbidden: Its requester wants to approve it.
        DomainError: The request lacks what the action needs, or names what is not there.
    """
    _check_plan(campaign, request)
    if campaign.state in HOLDS.get(request.action, frozenset()) or _is_repeated(campaign, request):
        return None
    if not _fits(campaign, request.action):
        raise Conflict(_misfit(campaign, request.action), code="action_does_not_fit")
    return _EFFECTS[request.action](campaign, request)


def _has_ended(campaign: Campaign, now: datetime) -> bool:
    end = campaign.end_of_offers
    return end is not None and now >= end


def _approve(campaign: Campaign, request: Request) -> Campaign:
    return approve(campaign, request.who, remark=request.remark, now=request.now)


def _start(campaign: Campaign, request: Request) -> Campaign:
    started = replace(campaign, consents=replace(campaign.consents, is_started_early=True))
    return go_on(started, now=request.now, reason=f"started early by {name_of(request.who)}")


def _pause(campaign: Campaign, request: Request) -> Campaign:
    paused = replace(campaign, state=C.PAUSED, reason=f"paused by {name_of(request.who)}")
    return tell(paused, Wish.PAUSE) if campaign.goes_back else paused


def _cancel(campaign: Campaign, request: Request) -> Campaign:
    if campaign.goes_back:
        return _stop_going_back(campaign, Wish.CANCEL, request)
    return give_up(campaign, f"cancelled by {name_of(request.who)}", now=request.now)


def _stop_going_back(campaign: Campaign, wish: Wish, request: Request) -> Campaign:
    """Its own offers are on their way back already; what was started to revert it ends in the same way."""
    reason = f"its reverting was cancelled by {name_of(request.who)}"
    return tell(replace(campaign, state=C.ABORTED, reason=reason), wish)


def _revert(campaign: Campaign, request: Request) -> Campaign:
    if campaign.planning.phase in RECUTTING:
        raise Conflict(f"the waves of {campaign.id} are being cut anew: try again in a moment", code="try_again")
    if campaign.planning.phase is not PlanningPhase.DONE:
        raise Conflict(f"{campaign.id} has offered nothing yet: cancel it", code="action_does_not_fit")
    if campaign.has_untold_children:
        raise Conflict(f"what reverted {campaign.id} is being cancelled: try again in a moment", code="try_again")
    reason = f"being reverted by {name_of(request.who)}"
    return begin_reverting(campaign, reason, who=request.who, now=request.now)


def _is_repeated(campaign: Campaign, request: Request) -> bool:
    if request.action is OperatorAction.REVERT:
        return campaign.goes_back and campaign.state is not C.ABORTED
    return request.action is OperatorAction.APPROVE and has_approved(campaign, request.who)


def _fits(campaign: Campaign, action: OperatorAction) -> bool:
    if campaign.goes_back and not campaign.is_finished and action not in GOING_BACK:
        return False
    return campaign.state in FITS[action]


def _check_plan(campaign: Campaign, request: Request) -> None:
    """Return if plan and wave are those that somebody looked at, as far as they say.

    Raises:
        Conflict: They are not.
    """
    wave = awaited_wave(campaign)
    number = request.wave if request.action is OperatorAction.APPROVE else None
    if number is not None and (wave is None or wave.number != number):
        raise Conflict(f"{campaign.id} does not wait for wave {number}; look at it again", code="plan_changed")
    if request.plan_sha256 is not None and request.plan_sha256 != digest_plan(campaign):
        raise Conflict(f"the plan of {campaign.id} is another one now; look at it again", code="plan_changed")


def fitting_actions(campaign: Campaign, *, is_withdrawn: bool = False) -> list[OperatorAction]:
    """The actions that fit the campaign as it is.

    Args:
        is_withdrawn: Whether one of its packages is.
    """
    if campaign.archive is not None:
        return []
    is_asked_for = campaign.goes_back and not campaign.is_finished
    refused = GOING_ON if is_withdrawn and not campaign.goes_back else frozenset()
    found = [action for action in OperatorAction if action not in refused and _fits(campaign, action)]
    return [action for action in found if not (is_asked_for and action is OperatorAction.REVERT)]


def name_fitting(campaign: Campaign) -> str:
    """The end of a sentence that says what does not fit."""
    return f"these actions do: {' or '.join(fitting_actions(campaign)) or 'none'}"


def _misfit(campaign: Campaign, action: OperatorAction) -> str:
    return f"{campaign.id} is {campaign.state}: {action} does not fit, {name_fitting(campaign)}"


def _resume(campaign: Campaign, request: Request) -> Campaign:
    now, reason = request.now, f"resumed by {name_of(request.who)}"
    if campaign.goes_back:
        return tell(go_on(campaign, now=now, reason=reason), Wish.GO_ON)
    if _has_ended(campaign, now):
        campaign = replace(campaign, consents=replace(campaign.consents, is_end_waived=True))
        reason += ", after its schedule had ended"
    # Planned or not: an edit of its waves may be under way while one of them is in hand.
    if campaign.planning.phase is PlanningPhase.DONE:
        resumed = go_on(campaign, now=now, reason=reason)
    else:
        resumed = replace(campaign, state=C.PLANNING, reason=reason)
    resumed = replace(resumed, is_reopened=False)
    for wave in campaign.waves:
        if wave.state not in DONE_WAVES | {WaveState.PENDING}:
            resumed = resumed.with_wave(_dispatched_again(wave, request.acknowledged))
    return resumed


def _dispatched_again(wave: Wave, acknowledged: Counters) -> Wave:
    """Batches that came up during the pause were dropped, so all go out again.

    Several waves have begun where one that had passed was stopped late; only that one is judged a failure.
    """
    if wave.state is WaveState.FAILED:
        wave = replace(wave, acknowledged=acknowledged)
    return dispatch_again(wave)


def _skip_wave(campaign: Campaign, request: Request) -> Campaign | None:
    wave = _named_wave(campaign, request.wave)
    if wave.state is WaveState.SKIPPED:
        return None
    if wave.state in DONE_WAVES:
        raise Conflict(
            f"wave {wave.number} of {campaign.id} is {wave.state}: only a wave that has not passed can be skipped",
            code="action_does_not_fit",
        )
    if wave.state is WaveState.PENDING and campaign.wave_edit is not None:
        raise Conflict(
            f"wave {wave.number} of {campaign.id} is about to be cut anew: try again in a moment", code="try_again"
        )
    skipped = replace(
        wave,
        state=WaveState.SKIPPED,
        reason=f"skipped by {name_of(request.who)}",
        ended_at=request.now,
        soak_until=None,
    )
    walk = Walk(purpose=BatchPurpose.SKIP, wave=wave.number, last_wave=wave.number)
    return replace(campaign.with_wave(skipped), walks=(*campaign.walks, walk))


def _named_wave(campaign: Campaign, number: int | None) -> Wave:
    if number is None:
        raise DomainError('wave: name the wave to skip, as in {"wave": 2}', code="invalid_request")
    found = next((wave for wave in campaign.waves if wave.number == number), None)
    if found is None:
        raise DomainError(
            f"wave: {campaign.id} has no wave {number}, but the waves 1 to {len(campaign.waves)}",
            code="invalid_request",
        )
    return found


def _retry_failed(campaign: Campaign, request: Request) -> Campaign | None:
    """Its devices that failed or were silent get a further attempt, wave by wave; once at a time.

    A completed campaign is not resumed any more: asking for attempts after its schedule's end lifts the end.
    """
    begun = [wave.number for wave in campaign.waves if wave.started_at is not None]
    if not begun or any(walk.purpose is BatchPurpose.RETRY for walk in campaign.walks):
        return None
    walk = Walk(purpose=BatchPurpose.RETRY, last_wave=begun[-1])
    if campaign.state is C.COMPLETED and _has_ended(campaign, request.now):
        campaign = replace(campaign, consents=replace(campaign.consents, is_end_waived=True))
    return replace(campaign, walks=(*campaign.walks, walk))


def _force_cancel(campaign: Campaign, request: Request) -> Campaign | None:
    """Cancelled softly before, its devices that have begun are cancelled now."""
    if campaign.reversion is not None:
        is_forced = campaign.state is C.ABORTED and campaign.reversion.wish is Wish.FORCE_CANCEL
        return None if is_forced else _stop_going_back(campaign, Wish.FORCE_CANCEL, request)
    if campaign.is_forced or (campaign.state is C.ABORTED and not campaign.waves):
        return None
    return give_up(
        campaign, f"cancelled by {name_of(request.who)}, devices that had begun included", now=request.now, forced=True
    )


_EFFECTS: Mapping[OperatorAction, Callable[[Campaign, Request], Campaign | None]] = {
    OperatorAction.APPROVE: _approve,
    OperatorAction.START: _start,
    OperatorAction.PAUSE: _pause,
    OperatorAction.RESUME: _resume,
    OperatorAction.SKIP_WAVE: _skip_wave,
    OperatorAction.RETRY_FAILED: _retry_failed,
    OperatorAction.CANCEL: _cancel,
    OperatorAction.FORCE_CANCEL: _force_cancel,
    OperatorAction.REVERT: _revert,
}
