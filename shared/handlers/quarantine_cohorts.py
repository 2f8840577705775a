"""Holding back cohorts in which failures cluster, while the others go on.

Whether one does is found when a wave is evaluated, from counters, and kept in the campaign's row with an audit entry
and an alert. Who belongs to it is asked when a batch's offers are about to leave: what the service knows of a device is
what it reported in earlier rollouts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.audit import SERVICE, AuditEntry
from shared.domain.campaigns import Campaign
from shared.domain.cohorts import CohortCounts, Quarantined, Tally, cohort_of, find_clusters, quarantined_failures
from shared.domain.devices import DeviceRecord
from shared.domain.ids import DeviceId
from shared.domain.retries import cut_short
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.steps import Change
from shared.domain.waves import Wave
from shared.handlers.alerts import raise_alert
from shared.handlers.campaign_ports import CampaignPorts
from shared.ports.rollouts import DeviceStore, RolloutStore

QUARANTINED = "quarantined"
"""The code of a rollout skipped because its cohort is held back."""

MAX_QUARANTINED = 50


def read_tallies(campaign: Campaign, wave: Wave, rollouts: RolloutStore) -> Mapping[int, Tally]:
    """What is to be judged, by wave: the wave in hand, and all that have begun where cohorts may be held back."""
    looked_for = campaign.spec.quarantine is not None and len(campaign.quarantined) < MAX_QUARANTINED
    begun = [each.number for each in campaign.waves if each.started_at is not None] if looked_for else []
    return {number: rollouts.read_tally(campaign.id, number, campaign.shards) for number in {*begun, wave.number}}


def quarantine_cohorts(
    campaign: Campaign, tallies: Mapping[int, Tally], ports: CampaignPorts, *, now: datetime
) -> Change | None:
    """The campaign with the cohorts held back in which failures cluster now; None where there is no further one."""
    if campaign.spec.quarantine is None or len(campaign.quarantined) >= MAX_QUARANTINED:
        return None
    counts = sum((tally.cohorts for tally in tallies.values()), start=CohortCounts())
    found = tuple(find_clusters(campaign.spec.quarantine, counts, campaign.quarantined, now=now))
    if not found:
        return None
    held_back = replace(campaign, quarantined=(*campaign.quarantined, *found)[:MAX_QUARANTINED])
    for number, tally in tallies.items():
        held_back = held_back.with_wave(_taken_off_once(campaign.waves[number - 1], tally.cohorts, found))
    reason = "held back: " + "; ".join(each.words for each in found)
    ports.audit.append(_entry(campaign, reason, now))
    raise_alert(ports.publisher, subject=f"campaigns/{campaign.id}", code="cohort_quarantined", message=reason, now=now)
    return Change(campaign=replace(held_back, reason=reason), due_at=now)


def _taken_off_once(wave: Wave, counts: CohortCounts, found: Sequence[Quarantined]) -> Wave:
    """What an operator had accepted of a cohort that is held back now leaves the gate's count with the cohort."""
    if not wave.acknowledged.total:
        return wave
    return replace(wave, acknowledged=wave.acknowledged.without(quarantined_failures(counts, found)))


def hold_back(
    campaign: Campaign, rollouts: Sequence[Rollout], devices: DeviceStore, *, now: datetime
) -> Mapping[DeviceId, Rollout]:
    """Those of one batch's planned rollouts that are held back, skipped. Not written yet."""
    if not campaign.quarantined or not rollouts:
        return {}
    rows = devices.read_batch([rollout.device for rollout in rollouts])
    found: dict[DeviceId, Rollout] = {}
    for rollout in rollouts:
        record = rows[rollout.device].value if rollout.device in rows else None
        if (why := _quarantine_of(campaign, rollout, record)) is not None:
            found[rollout.device] = cut_short(
                rollout, RolloutState.SKIPPED, now=now, code=QUARANTINED, detail=why.words
            )
    return found


def _quarantine_of(campaign: Campaign, rollout: Rollout, record: DeviceRecord | None) -> Quarantined | None:
    hardware = rollout.hardware or (record.hardware if record else "")
    version = rollout.former_version or (record.installed.get(campaign.target_of(rollout).name, "") if record else "")
    cohort = cohort_of(hardware, version)
    return next((each for each in campaign.quarantined if each.cohort == cohort), None)


def _entry(campaign: Campaign, reason: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        campaign=campaign.id,
        step=campaign.step + 1,
        at=now,
        who=SERVICE,
        what="quarantine",
        before=campaign.state,
        after=campaign.state,
        detail=reason,
    )
