"""Late failures: a wave has passed, and then its devices fail, fall silent or go back to the old version after all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.campaign_specs import OnLateFailure
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.verdicts import Decision, Verdict
from shared.domain.waves import Wave, WaveState

_LEFT_TO_PEOPLE = "its schedule has no say any more: resume, cancel or revert it"
_OPEN = frozenset({CampaignState.AWAITING_APPROVAL, CampaignState.RUNNING, CampaignState.COMPLETED})


def find_passed(campaign: Campaign, number: int | None) -> Wave | None:
    """The wave of that number if it has passed and its campaign can still be stopped; None otherwise.

    A campaign that is being archived, a day at least after its end, is not opened again: rows may be gone.
    """
    if campaign.state not in _OPEN or campaign.goes_back or campaign.archive is not None:
        return None
    return next((wave for wave in campaign.waves if wave.number == number and wave.state is WaveState.PASSED), None)


def reconsider(campaign: Campaign, wave: Wave, verdict: Verdict, *, now: datetime) -> Campaign | None:
    """What the gate of a passed wave makes of the campaign now; None where it still stands, or has been told of.

    By its policy the campaign is paused with the wave reopened, as if its gate had stopped it in the first place; or
    only the verdict is noted. One that had completed waits for people, whatever its schedule would make of it.
    """
    if verdict.decision is not Decision.STOP:
        return None
    reason = f"the gate of wave {wave.number} ({wave.spec.name}) had let it pass: {verdict.reason}"
    match campaign.spec.on_late_failure:
        case OnLateFailure.PAUSE:
            failed = replace(wave, state=WaveState.FAILED, verdict=verdict, reason=verdict.reason, ended_at=now)
            reopened = campaign.state is CampaignState.COMPLETED
            words = f"{reason}; {_LEFT_TO_PEOPLE}" if reopened and campaign.end_of_offers else reason
            return replace(campaign.with_wave(failed), state=CampaignState.PAUSED, is_reopened=reopened, reason=words)
        case OnLateFailure.ALERT:
            if wave.verdict is not None and wave.verdict.decision is Decision.STOP:
                return None
            return replace(campaign.with_wave(replace(wave, verdict=verdict)), reason=reason)
