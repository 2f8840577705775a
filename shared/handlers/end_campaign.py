"""A campaign's schedule has ended: no wave starts and nobody is offered anything any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.audit import AuditEntry
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.endings import give_up
from shared.domain.schedules import AtEnd
from shared.domain.steps import Change


def has_run_out(campaign: Campaign, *, now: datetime) -> bool:
    """Whether the campaign is to be ended now."""
    end = campaign.end_awaited
    return end is not None and now >= end


def end_campaign(campaign: Campaign, *, now: datetime) -> Change:
    """The campaign paused or cancelled, as its schedule asks; devices go on with what they have begun."""
    after = _ended(campaign, now)
    return Change(campaign=after, due_at=now, told=_entry(campaign, after, now))


def _ended(campaign: Campaign, now: datetime) -> Campaign:
    schedule = campaign.spec.schedule
    if schedule is None or schedule.end_at is None:
        raise TypeError(f"{campaign.id} has no end")
    reason = f"its schedule ended at {schedule.end_at.isoformat()}"
    if schedule.at_end is AtEnd.CANCEL:
        why_paused = f", while it was paused: {campaign.reason}" if campaign.state is CampaignState.PAUSED else ""
        return give_up(campaign, reason + why_paused, now=now)
    return replace(campaign, state=CampaignState.PAUSED, reason=reason)


def _entry(before: Campaign, after: Campaign, now: datetime) -> AuditEntry:
    return AuditEntry(
        campaign=before.id,
        step=before.step + 1,
        at=now,
        who="schedule",
        what="end",
        before=before.state,
        after=after.state,
        detail=after.reason,
    )
