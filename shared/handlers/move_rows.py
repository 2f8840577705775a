"""The steps after an edit of waves: batches are cut from the new manifest, and rows are moved to where they belong.

A repeat finds done what is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import batched

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.planning import PlanningPhase
from shared.domain.rollouts import Rollout
from shared.domain.starting import go_on
from shared.domain.steps import Change
from shared.domain.waves import DeviceBatch, Wave
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.plan_campaign import CLAIM_BATCHES, cut_wave
from shared.ports.rollouts import MAX_MOVED, RolloutChange, RolloutStore
from shared.ports.stored import Stored


def cut_waves(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with the batches of its edited waves cut."""
    planning = campaign.planning
    manifest = ports.manifests.read_manifest(campaign.id, edition=planning.manifest)
    waves = tuple(
        wave
        if wave.number < planning.claimed_wave
        else cut_wave(campaign, ports.manifests, wave, manifest[wave.start : wave.stop])
        for wave in campaign.waves
    )
    planning = replace(planning, phase=PlanningPhase.MOVING)
    return Change(campaign=replace(campaign, waves=waves, planning=planning), due_at=now)


def move_batches(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with the rows of the next batches where they belong; planned once all are."""
    planning = campaign.planning
    wave = campaign.waves[planning.claimed_wave - 1]
    if planning.claimed_batches >= wave.batches:
        return Change(campaign=_moved(campaign, wave, now), due_at=now)
    part = planning.claimed_batches // CLAIM_BATCHES
    members = ports.manifests.read_members(campaign.id, wave.number, part)
    batches = ports.manifests.read_batches(campaign.id, wave.number)[planning.claimed_batches :]
    for batch, devices in zip(batches, members, strict=False):
        _move(campaign.id, batch, devices, ports.rollouts)
    planning = replace(planning, claimed_batches=planning.claimed_batches + len(members))
    return Change(campaign=replace(campaign, planning=planning), due_at=now)


def _moved(campaign: Campaign, wave: Wave, now: datetime) -> Campaign:
    planning = campaign.planning
    if wave.number < len(campaign.waves):
        return replace(campaign, planning=replace(planning, claimed_wave=wave.number + 1, claimed_batches=0))
    done = replace(campaign, planning=replace(planning, phase=PlanningPhase.DONE))
    # It was resumed meanwhile, and waited for this.
    return go_on(done, now=now, reason=done.reason) if done.state is CampaignState.PLANNING else done


def _move(campaign: CampaignId, batch: DeviceBatch, devices: Sequence[DeviceId], rollouts: RolloutStore) -> None:
    def attempt() -> None:
        rows = rollouts.read_devices(campaign, batch.shard, devices)
        for strays in _by_wave(rows, batch).values():
            for some in batched(strays, MAX_MOVED):
                rollouts.move(campaign, batch.shard, some)

    until_written(attempt, what=f"batch {batch.number} of wave {batch.wave} of {campaign}")


def _by_wave(rows: Mapping[DeviceId, Stored[Rollout]], batch: DeviceBatch) -> Mapping[int, list[RolloutChange]]:
    """The rows that belong to the batch and are not in it yet, by the wave they are in."""
    strays: dict[int, list[RolloutChange]] = {}
    for row in rows.values():
        if (row.value.wave, row.value.batch) != (batch.wave, batch.number):
            after = replace(row.value, wave=batch.wave, batch=batch.number)
            strays.setdefault(row.value.wave, []).append(RolloutChange(before=row, after=after))
    return strays
