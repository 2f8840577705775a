"""Evaluating a campaign: what the gate says about the wave in hand, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.audit import GATE, AuditEntry
from shared.domain.campaigns import Campaign
from shared.domain.cohorts import Tally, quarantined_failures
from shared.domain.gates import smaller
from shared.domain.joining import stays_open
from shared.domain.rollouts import RolloutState
from shared.domain.skips import SkipCounts, SkipReason, count_skips
from shared.domain.steps import QUIET_S, REEVALUATE_S, Change, apply_verdict, dispatch_again
from shared.domain.verdicts import judge_wave
from shared.domain.waves import Wave, WaveState
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.quarantine_cohorts import quarantine_cohorts, read_tallies
from shared.handlers.wakeups import request_visit
from shared.ports.bus import Queue
from shared.wire.audit_verdicts import VerdictFacts, write_verdict_facts

_ENDED = {WaveState.PASSED: "pass", WaveState.FAILED: "stop"}


def judge(campaign: Campaign, wave: Wave, tally: Tally) -> VerdictFacts:
    """The verdict over a wave as it stands; failures that cohorts are held back for do not count."""
    counters = tally.counters
    if stays_open(campaign, wave) and not counters.counted:
        # That they are missing says something once nobody may join any more.
        tally = replace(tally, skips=SkipCounts())
    # Where nobody was skipped, a version that does not count the reasons yet can read the verdict.
    skips = tally.skips if tally.skips.total else None
    left_out = wave.acknowledged + quarantined_failures(tally.cohorts, campaign.quarantined)
    if not counters.without(left_out).counted:
        # Nobody would be left to judge by: a wave that failed throughout must not pass because its cohort is held back.
        left_out = wave.acknowledged
    return VerdictFacts(
        wave=wave.number,
        gate=wave.spec.gate,
        counters=counters,
        acknowledged=left_out,
        verdict=judge_wave(wave.spec.gate, counters, left_out, skips=skips),
        unknown=tally.skips.of(SkipReason.NOT_FOUND),
        skips=skips,
    )


def evaluate_campaign(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change | None:
    """What the gate makes of the campaign; None where it has nothing new to say.

    Each wave's counters are read once, whatever the number of devices. Where the wave ends, its batches are visited at
    once, so that devices are freed and what they run is kept.
    """
    if (wave := campaign.wave_in_hand) is None:
        return None
    tallies = read_tallies(campaign, wave, ports.rollouts)
    if (held_back := quarantine_cohorts(campaign, tallies, ports, now=now)) is not None:
        return held_back
    tally = _with_all_reasons(tallies[wave.number], campaign, wave, ports)
    facts = judge(campaign, wave, tally)
    # Whoever is gone, others may join: stopped, the wave would wait for them in vain.
    is_awaiting = stays_open(campaign, wave) and not tally.counters.counted
    change = None if is_awaiting else apply_verdict(campaign, facts.verdict, now=now)
    if change is None:
        return forget_mended(campaign, wave, tally)
    ended = change.campaign.waves[wave.number - 1]
    if ended.state in _ENDED:
        _visit_all(campaign, wave, ports, now)
        return replace(change, told=_entry(campaign, change.campaign, ended, facts, now))
    return change


def forget_mended(campaign: Campaign, wave: Wave, tally: Tally) -> Change | None:
    """Acknowledged devices that were mended since, by a retry perhaps, must not hide others that fail later."""
    held_back = quarantined_failures(tally.cohorts, campaign.quarantined)
    left = smaller(wave.acknowledged, tally.counters.without(held_back))
    if left == wave.acknowledged:
        return None
    return Change(campaign=campaign.with_wave(replace(wave, acknowledged=left)), due_at=campaign.step_due_at)


def look_after_wave(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change | None:
    """What a running or soaking wave needs beyond its gate; None where it needs nothing.

    Nothing heard for minutes while rows are still planned means that messages of its dispatch are lost: it is
    dispatched again. A soak looked at too early, by another clock's reckoning, gets a step of its own, because the
    message id of the present one would be dropped as a repeat.
    """
    if (wave := campaign.wave_in_hand) is None:
        return None
    if wave.state is WaveState.SOAKING:
        return Change(campaign=campaign, due_at=max(wave.soak_until or now, now + timedelta(seconds=1)))
    # A row that waits for another campaign or for a further attempt is planned too; it comes back by itself, and by
    # the visits of its batch.
    has_waiting_rows = campaign.planning.waiting or campaign.spec.retries.maximum
    is_quiet = now - campaign.step_due_at >= timedelta(seconds=QUIET_S) and not has_waiting_rows
    if is_quiet and ports.rollouts.read_counters(campaign.id, wave.number, campaign.shards).of(RolloutState.PLANNED):
        return Change(campaign=campaign.with_wave(dispatch_again(wave)), due_at=now)
    return None


def keep_looking(campaign: Campaign, *, now: datetime) -> datetime | None:
    """A later ``step_due_at`` for a wave that goes on; None where the present one is good for a while yet."""
    if (wave := campaign.wave_in_hand) is None or wave.state is not WaveState.RUNNING:
        return None
    end, look_again_at = campaign.end_awaited, now + timedelta(seconds=REEVALUATE_S)
    due_at = min(look_again_at, end) if end else look_again_at
    return due_at if campaign.step_due_at < min(due_at, now + timedelta(seconds=REEVALUATE_S / 2)) else None


def _with_all_reasons(tally: Tally, campaign: Campaign, wave: Wave, ports: CampaignPorts) -> Tally:
    """The tally with why devices were skipped, where the gate needs that and an older version did not count it."""
    counters = tally.counters
    if counters.counted or tally.skips.total >= counters.of(RolloutState.SKIPPED):
        return tally
    batches = ports.manifests.read_batches(campaign.id, wave.number)
    read = (row.value for batch in batches for row in ports.rollouts.read_batch(campaign.id, batch))
    return replace(tally, skips=count_skips(read))


def _visit_all(campaign: Campaign, wave: Wave, ports: CampaignPorts, now: datetime) -> None:
    batches = ports.manifests.read_batches(campaign.id, wave.number)
    if batches:
        visits = [request_visit(campaign.id, batch, due=now) for batch in batches]
        ports.sender.send(Queue.BATCH_DEADLINES, visits)


def _entry(before: Campaign, after: Campaign, wave: Wave, facts: VerdictFacts, now: datetime) -> AuditEntry:
    return AuditEntry(
        campaign=before.id,
        step=before.step + 1,
        at=now,
        who=GATE,
        what=_ENDED[wave.state],
        before=before.state,
        after=after.state,
        detail=f"wave {wave.number} ({wave.spec.name}): {wave.reason}",
        facts=write_verdict_facts(facts),
    )
