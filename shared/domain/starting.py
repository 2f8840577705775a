"""What stands between a planned campaign and its next wave: people's approval, and its schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.approvals import Approval
from shared.domain.audit import GATE
from shared.domain.campaigns import OFFERING, Campaign, CampaignState
from shared.domain.errors import Forbidden
from shared.domain.people import name_of, subject_of
from shared.domain.plans import digest_plan
from shared.domain.reversions import ReversionPhase
from shared.domain.waves import Wave, WaveState

C = CampaignState


def go_on(campaign: Campaign, *, now: datetime, reason: str = "") -> Campaign:
    """A planned campaign in the state that is its next: waiting for people, for its time, running, or going back."""
    if missing := missing_approvals(campaign):
        return await_approval(campaign, missing)
    if campaign.goes_back:
        return replace(campaign, state=C.REVERTING, reason=reason)
    start = campaign.start_awaited
    if start is not None and now < start:
        return replace(campaign, state=C.SCHEDULED, reason=f"starts at {start.isoformat()}")
    return replace(campaign, state=C.RUNNING, reason=reason)


def await_approval(campaign: Campaign, missing: int) -> Campaign:
    """The campaign waiting for so many more people."""
    wave = awaited_wave(campaign)
    what = f"wave {wave.number} ({wave.spec.name})" if wave else "it"
    words = "the devices go back" if campaign.goes_back else f"{what} starts"
    return replace(campaign, state=C.AWAITING_APPROVAL, reason=f"{words} once {missing} more approve")


def missing_approvals(campaign: Campaign) -> int:
    """How many more people must approve before the wave in hand, or what brings its devices back, may start."""
    if (policy := campaign.spec.approval) is None or not _asks_people(campaign):
        return 0
    return max(0, policy.required - len(standing_approvals(campaign)))


def _asks_people(campaign: Campaign) -> bool:
    """A revert that a gate ordered was part of the plan that people approved; one that an operator ordered was not.

    A wave that has begun was approved before: it may be paused and resumed, grow, or be stopped late and reopened.
    """
    if (reversion := campaign.reversion) is None:
        wave = campaign.wave_in_hand
        return wave is not None and wave.state is WaveState.PENDING
    return reversion.phase is ReversionPhase.STARTING and reversion.ordered_by not in ("", GATE)


def awaited_wave(campaign: Campaign) -> Wave | None:
    """The wave that people are asked about; None where none is left, or where they are asked about going back."""
    return None if campaign.goes_back else campaign.wave_in_hand


def standing_approvals(campaign: Campaign) -> tuple[Approval, ...]:
    """The approvals that count now: for this plan, and for this wave where each wave needs its own."""
    if not campaign.consents.approvals:
        return ()
    plan, policy, wave = digest_plan(campaign), campaign.spec.approval, _wave_number(campaign)
    any_wave = policy is None or not policy.between_waves or campaign.goes_back
    return tuple(
        approval
        for approval in campaign.consents.approvals
        if approval.plan_sha256 == plan and (any_wave or approval.wave == wave)
    )


def has_approved(campaign: Campaign, who: str) -> bool:
    """Whether the person's approval counts already."""
    return any(subject_of(approval.who) == subject_of(who) for approval in standing_approvals(campaign))


def approve(campaign: Campaign, who: str, *, remark: str, now: datetime) -> Campaign:
    """The campaign with one more approval; the last one that is missing lets it go on.

    Raises:
        Forbidden: They asked for the campaign, for its waves as they are, or for its reverting, themselves.
    """
    if subject_of(who) in {subject_of(label) for label in _requesters(campaign)}:
        raise Forbidden(
            "who asked for a campaign, for its waves as they are, or for its reverting, cannot approve it",
            code="requester_cannot_approve",
        )
    wave = awaited_wave(campaign)
    given = Approval(who=who, at=now, wave=wave.number if wave else 0, plan_sha256=digest_plan(campaign), remark=remark)
    approvals = (*standing_approvals(campaign), given)
    approved = replace(campaign, consents=replace(campaign.consents, approvals=approvals))
    return go_on(approved, now=now, reason=f"approved by {' and '.join(name_of(each.who) for each in approvals)}")


def may_offer(campaign: Campaign, wave: int, *, now: datetime) -> bool:
    """Whether devices of this wave may be offered the package now: it has started, and the schedule has not ended."""
    end = campaign.end_of_offers
    if campaign.state not in OFFERING or campaign.goes_back or (end is not None and now >= end):
        return False
    return any(each.number == wave and each.state is not WaveState.PENDING for each in campaign.waves)


def _requesters(campaign: Campaign) -> list[str]:
    if campaign.reversion is not None:
        return [campaign.reversion.ordered_by]
    edited_by = campaign.spec.targeting.revision.by
    return [campaign.requested_by, *([edited_by] if edited_by else [])]


def _wave_number(campaign: Campaign) -> int:
    wave = awaited_wave(campaign)
    return wave.number if wave else 0
