"""What stands between a planned campaign and its next wave: people's approval, and its schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.approvals import Approval
from shared.domain.campaigns import OFFERING, Campaign, CampaignState
from shared.domain.errors import Forbidden
from shared.domain.people import name_of, subject_of
from shared.domain.plans import digest_plan
from shared.domain.waves import WaveState

C = CampaignState


def go_on(campaign: Campaign, *, now: datetime, reason: str = "") -> Campaign:
    """A planned campaign in the state that is its next: waiting for people, for its time, or running."""
    if missing := missing_approvals(campaign):
        return await_approval(campaign, missing)
    start = campaign.start_awaited
    if start is not None and now < start:
        return replace(campaign, state=C.SCHEDULED, reason=f"starts at {start.isoformat()}")
    return replace(campaign, state=C.RUNNING, reason=reason)


def await_approval(campaign: Campaign, missing: int) -> Campaign:
    """The campaign waiting for so many more people."""
    wave = campaign.wave_in_hand
    what = f"wave {wave.number} ({wave.spec.name})" if wave else "it"
    return replace(campaign, state=C.AWAITING_APPROVAL, reason=f"{what} starts once {missing} more approve")


def missing_approvals(campaign: Campaign) -> int:
    """How many more people must approve before the wave in hand may start or go on."""
    if (policy := campaign.spec.approval) is None or campaign.wave_in_hand is None:
        return 0
    return max(0, policy.required - len(standing_approvals(campaign)))


def standing_approvals(campaign: Campaign) -> tuple[Approval, ...]:
    """The approvals that count now: for this plan, and for this wave where each wave needs its own."""
    if not campaign.consents.approvals:
        return ()
    plan, policy, wave = digest_plan(campaign), campaign.spec.approval, _wave_number(campaign)
    any_wave = policy is None or not policy.between_waves
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
        Forbidden: They asked for the campaign, or for its waves as they are, themselves.
    """
    if subject_of(who) in {subject_of(label) for label in _requesters(campaign)}:
        raise Forbidden(
            "who asked for a campaign, or for its waves as they are, cannot approve it", code="requester_cannot_approve"
        )
    wave = campaign.wave_in_hand
    given = Approval(who=who, at=now, wave=wave.number if wave else 0, plan_sha256=digest_plan(campaign), remark=remark)
    approvals = (*standing_approvals(campaign), given)
    approved = replace(campaign, consents=replace(campaign.consents, approvals=approvals))
    return go_on(approved, now=now, reason=f"approved by {' and '.join(name_of(each.who) for each in approvals)}")


def may_offer(campaign: Campaign, wave: int, *, now: datetime) -> bool:
    """Whether devices of this wave may be offered the package now: it has started, and the schedule has not ended."""
    end = campaign.end_of_offers
    if campaign.state not in OFFERING or (end is not None and now >= end):
        return False
    return any(each.number == wave and each.state is not WaveState.PENDING for each in campaign.waves)


def _requesters(campaign: Campaign) -> list[str]:
    edited_by = campaign.spec.targeting.revision.by
    return [campaign.requested_by, *([edited_by] if edited_by else [])]


def _wave_number(campaign: Campaign) -> int:
    wave = campaign.wave_in_hand
    return wave.number if wave else 0
