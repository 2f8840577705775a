"""Something came late in a wave that had passed: its gate is asked once more."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.audit import GATE, AuditEntry
from shared.domain.campaigns import Campaign
from shared.domain.late_failures import reconsider
from shared.domain.skips import SkipCounts
from shared.domain.steps import Change
from shared.domain.waves import Wave
from shared.handlers.alerts import raise_alert
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.evaluate_campaign import forget_mended, judge
from shared.wire.audit_verdicts import write_verdict_facts


def reconsider_wave(campaign: Campaign, wave: Wave, ports: CampaignPorts, *, now: datetime) -> Change | None:
    """What the gate of a passed wave makes of the campaign now; None where it says nothing new.

    People are woken whatever the policy says. An alert that is raised again because the process died has the same id.
    """
    tally = ports.rollouts.read_tally(campaign.id, wave.number, campaign.shards)
    # A gate that asked for nobody's success has let it pass on nobody's word: who is missing since is no failure.
    facts = judge(campaign, wave, replace(tally, skips=SkipCounts()))
    after = reconsider(campaign, wave, facts.verdict, now=now)
    if after is None:
        return forget_mended(campaign, wave, tally)
    entry = AuditEntry(
        campaign=campaign.id,
        step=campaign.step + 1,
        at=now,
        who=GATE,
        what="stop",
        before=campaign.state,
        after=after.state,
        detail=after.reason,
        facts=write_verdict_facts(facts),
    )
    raise_alert(ports.publisher, subject=f"campaigns/{campaign.id}", code="late_failure", message=after.reason, now=now)
    return Change(campaign=after, due_at=campaign.step_due_at if after.awaits_step else now, told=entry)
