"""Pausing campaigns because something is wrong that no operator asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.audit import SERVICE, AuditEntry
from shared.domain.campaigns import PAUSABLE, Campaign, CampaignState
from shared.domain.ids import CampaignId
from shared.domain.packages import Package
from shared.domain.rollouts import PackageTarget
from shared.domain.steps import Change
from shared.handlers.alerts import raise_alert
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.keep_campaign import get_stored_campaign, keep_step
from shared.ports.errors import UnreadableRow
from shared.trust.specs import SpecUntrusted


def pause_campaign(campaign: CampaignId, reason: str, ports: CampaignPorts, *, now: datetime) -> None:
    """Pause the campaign if it has steps of its own to take; otherwise it waits for an operator already.

    Raises:
        NotFound: No such campaign.
        PortError: A service needed for it is down, or its row changes too fast; pausing it again is safe.
    """

    def attempt() -> None:
        stored = get_stored_campaign(ports.campaigns, campaign)
        if stored.value.state not in PAUSABLE:
            return
        paused = replace(stored.value, state=CampaignState.PAUSED, reason=reason)
        keep_step(ports, stored, Change(campaign=paused, due_at=now, told=_entry(stored.value, paused, now)), now=now)

    until_written(attempt, what=campaign)


def stop_untrusted(campaign: Campaign, error: SpecUntrusted, ports: CampaignPorts, *, now: datetime) -> None:
    """Pause a campaign that is not what was signed, and wake people.

    Raises:
        PortError: As ``pause_campaign``.
    """
    reason = f"{error.message}; somebody changed it. Cancel it and post it anew"
    raise_alert(ports.publisher, subject=f"campaigns/{campaign.id}", code=error.code, message=reason, now=now)
    pause_campaign(campaign.id, reason, ports, now=now)


def pause_campaigns_of(package: Package, reason: str, ports: CampaignPorts, *, now: datetime) -> int:
    """Pause every campaign that rolls the package out; how many there were.

    Raises:
        PortError: Some may have been paused; pausing them again is safe.
    """
    target = PackageTarget(name=package.name, version=package.version.text)
    concerned, failure = 0, None
    # What cannot be read may roll the package out as well: that is said when all others are paused, here of campaigns
    # whose waves cannot be read, by the listing of all else.
    for campaign in ports.campaigns.list_unfinished():
        if target in campaign.spec.packages:
            try:
                pause_campaign(campaign.id, reason, ports, now=now)
            except UnreadableRow as error:
                failure = failure or error
            concerned += 1
    if failure is not None:
        raise failure
    return concerned


def _entry(before: Campaign, after: Campaign, now: datetime) -> AuditEntry:
    return AuditEntry(
        campaign=before.id,
        step=before.step + 1,
        at=now,
        who=SERVICE,
        what="pause",
        before=before.state,
        after=after.state,
        detail=after.reason,
    )
