"""An operator says that nobody joins a dynamic campaign any more, so that it can complete."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.audit import AuditEntry
from shared.domain.campaigns import Campaign
from shared.domain.errors import Conflict
from shared.domain.ids import CampaignId
from shared.domain.joining import is_open, is_over
from shared.domain.steps import Change
from shared.domain.steps_by_operators import name_fitting
from shared.domain.targeting import Membership
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.keep_campaign import get_stored_campaign, keep_step


def close_membership(campaign: CampaignId, ports: CampaignPorts, *, who: str, now: datetime) -> Campaign:
    """The campaign with the devices it has; its last wave passes as its gate says. Closing it twice changes nothing.

    Raises:
        NotFound: No such campaign.
        Conflict: It has ended while it was open.
        ConcurrentChange: Its steps kept coming between.
    """
    return until_written(lambda: _try_to_close(campaign, ports, who, now), what=campaign)


def _try_to_close(campaign: CampaignId, ports: CampaignPorts, who: str, now: datetime) -> Campaign:
    stored = get_stored_campaign(ports.campaigns, campaign)
    before = stored.value
    if not is_open(before):
        return before
    if is_over(before):
        raise Conflict(
            f"{campaign} is {before.state}: closing it does not fit, {name_fitting(before)}", code="action_does_not_fit"
        )
    after = replace(before, newcomers=replace(before.newcomers, is_closed=True))
    ports.audit.append(_entry(before, who, now))
    return keep_step(ports, stored, Change(campaign=after, due_at=now), now=now)


def _entry(before: Campaign, who: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        campaign=before.id,
        step=before.step + 1,
        at=now,
        who=who,
        what="close-membership",
        before=before.state,
        after=before.state,
        detail=f"{Membership.DYNAMIC} until now; {before.newcomers.joined} devices joined",
    )
