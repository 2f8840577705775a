"""Claiming: every target gets a rollout row, planned where it is free, skipped or waiting where another campaign holds
it, skipped where it runs the version already, or where none of several packages is for it.

Repeating a claim at any point ends in the same rows: a device held by the campaign keeps its sequence, and a batch
whose rollout rows are written is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.conflicts import held_by, waits_for
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.planning import Planning, PlanningPhase
from shared.domain.quotas import quota_reason
from shared.domain.starting import go_on
from shared.domain.steps import Change
from shared.domain.variants import NO_PACKAGE, count_variants
from shared.domain.waves import DeviceBatch, Wave
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.claimer import ClaimedBatch, Claimer
from shared.handlers.current_devices import CURRENT
from shared.handlers.listed_hardware import read_of_members
from shared.handlers.plan_campaign import CLAIM_BATCHES
from shared.ports.campaigns import ManifestStore
from shared.ports.errors import QuotaExceeded, Throttled

CONFIRMATIONS = 500
"""Twins read in one step before it is kept: seconds, and within what IoT Hub S1 allows for a minute."""

CONFIRM_AGAIN_S = 15.0
"""How long a throttled step waits, where the hub does not say."""

_ANYBODY = CampaignId("")


def claim_batches(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with the next batches of the wave in planning claimed; planned after the last wave's.

    It is paused where the hub's daily quota is used up.
    """
    planning = campaign.planning
    wave = campaign.waves[planning.claimed_wave - 1]
    if planning.claimed_batches >= wave.batches:
        return Change(campaign=_next_wave(campaign, now), due_at=now)
    claimer = Claimer(campaign, ports, now)
    listed = listed_in_hand(campaign, wave, ports.manifests)
    try:
        for batch, devices in batches_in_hand(campaign, wave, ports.manifests):
            planning = count_skipped(campaign, planning, claimer.claim_batch(batch, devices, listed))
            if claimer.confirmations >= CONFIRMATIONS:
                break
    except Throttled as error:
        wait = timedelta(seconds=error.retry_after_s or CONFIRM_AGAIN_S)
        return Change(campaign=replace(campaign, planning=planning), due_at=now + wait)
    except QuotaExceeded:
        paused = replace(campaign, planning=planning, state=CampaignState.PAUSED, reason=quota_reason(now))
        return Change(campaign=paused, due_at=now)
    return Change(campaign=replace(campaign, planning=planning), due_at=now)


def batches_in_hand(
    campaign: Campaign, wave: Wave, manifests: ManifestStore
) -> list[tuple[DeviceBatch, list[DeviceId]]]:
    """The batches left of the part of the manifest in hand, with their devices."""
    claimed = campaign.planning.claimed_batches
    part, done = divmod(claimed, CLAIM_BATCHES)
    members = manifests.read_members(campaign.id, wave.number, part)[done:]
    batches = manifests.read_batches(campaign.id, wave.number)[claimed : claimed + len(members)]
    return list(zip(batches, members, strict=True))


def listed_in_hand(campaign: Campaign, wave: Wave, manifests: ManifestStore) -> Mapping[DeviceId, str]:
    """What the devices of that part said they were when they were listed."""
    return read_of_members(campaign, wave.number, campaign.planning.claimed_batches // CLAIM_BATCHES, manifests)


def _next_wave(campaign: Campaign, now: datetime) -> Campaign:
    planning = campaign.planning
    if planning.claimed_wave < len(campaign.waves):
        planning = replace(planning, claimed_wave=planning.claimed_wave + 1, claimed_batches=0)
        return replace(campaign, planning=planning)
    planning = replace(planning, phase=PlanningPhase.DONE)
    return go_on(replace(campaign, planning=planning), now=now)


def count_skipped(campaign: Campaign, planning: Planning, claimed: ClaimedBatch) -> Planning:
    """The cursor behind a batch whose rows are written, what of it had to be skipped, and who gets which package."""
    rollouts = claimed.rollouts
    named = [rollout.device for rollout in rollouts]
    current = sum(rollout.code == CURRENT for rollout in rollouts)
    held = sum(rollout.code.startswith(held_by(_ANYBODY)) for rollout in rollouts)
    waiting = sum(rollout.code.startswith(waits_for(_ANYBODY)) for rollout in rollouts)
    unfit = sum(rollout.code == NO_PACKAGE for rollout in rollouts)
    return replace(
        planning,
        claimed_batches=planning.claimed_batches + 1,
        skipped=planning.skipped + held,
        current=planning.current + current,
        waiting=planning.waiting + waiting,
        no_package=planning.no_package + unfit,
        by_variant=count_variants(campaign.packages, planning.by_variant, rollouts),
        heard=planning.heard.with_devices(campaign.spec.targets, named, claimed.records),
    )
