"""What operators may do to a campaign, and what it is afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from shared.domain.campaigns import Campaign, CampaignState, PlanningPhase
from shared.domain.endings import give_up
from shared.domain.errors import Conflict
from shared.domain.gates import Counters
from shared.domain.steps import dispatch_again
from shared.domain.waves import Wave, WaveState

C = CampaignState


class OperatorAction(StrEnum):
    """What an operator asks for; the values are the words in URLs."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


_FITS: Mapping[OperatorAction, frozenset[CampaignState]] = {
    OperatorAction.PAUSE: frozenset({C.PLANNING, C.SCHEDULED, C.RUNNING}),
    OperatorAction.RESUME: frozenset({C.PAUSED}),
    OperatorAction.CANCEL: frozenset({C.PLANNING, C.AWAITING_APPROVAL, C.SCHEDULED, C.RUNNING, C.PAUSED}),
}
_HOLDS: Mapping[OperatorAction, frozenset[CampaignState]] = {
    OperatorAction.PAUSE: frozenset({C.PAUSED}),
    OperatorAction.RESUME: frozenset({C.PLANNING, C.RUNNING}),
    OperatorAction.CANCEL: frozenset({C.ABORTED}),
}


def act(
    campaign: Campaign, action: OperatorAction, *, acknowledged: Counters, who: str, now: datetime
) -> Campaign | None:
    """The campaign after the action; None where the action holds already.

    Args:
        acknowledged: What the wave in hand has suffered so far; resuming after its gate stopped accepts it.

    Raises:
        Conflict: The action does not fit the state; the message names the actions that do.
    """
    if campaign.state in _HOLDS[action]:
        return None
    if campaign.state not in _FITS[action]:
        raise Conflict(_misfit(campaign, action), code="action_does_not_fit")
    match action:
        case OperatorAction.PAUSE:
            return replace(campaign, state=C.PAUSED, reason=f"paused by {who}")
        case OperatorAction.RESUME:
            return _resume(campaign, acknowledged, who)
        case OperatorAction.CANCEL:
            return give_up(campaign, f"cancelled by {who}", now=now)


def fitting_actions(state: CampaignState) -> list[OperatorAction]:
    """The actions that change something in this state."""
    return [action for action, states in _FITS.items() if state in states]


def _misfit(campaign: Campaign, action: OperatorAction) -> str:
    fitting = " or ".join(fitting_actions(campaign.state)) or "none"
    return f"{campaign.id} is {campaign.state}: {action} does not fit, these actions do: {fitting}"


def _resume(campaign: Campaign, acknowledged: Counters, who: str) -> Campaign:
    planned = campaign.planning.phase is PlanningPhase.DONE
    resumed = replace(campaign, state=C.RUNNING if planned else C.PLANNING, reason=f"resumed by {who}")
    wave = campaign.wave_in_hand
    if wave is None or wave.state is WaveState.PENDING:
        return resumed
    return resumed.with_wave(_dispatched_again(wave, acknowledged))


def _dispatched_again(wave: Wave, acknowledged: Counters) -> Wave:
    """Batches that came up during the pause were dropped, so all go out again."""
    if wave.state is WaveState.FAILED:
        wave = replace(wave, acknowledged=acknowledged)
    return dispatch_again(wave)
