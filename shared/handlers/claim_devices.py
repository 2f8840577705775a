"""Claiming: every target gets a rollout row, planned where it is free, skipped where another campaign holds it.

Repeating a claim at any point ends in the same rows: a device held by the campaign keeps its sequence, and a batch
whose rollout rows are written is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.campaigns import Campaign, CampaignState, PlanningPhase
from shared.domain.devices import DeviceRecord, claim
from shared.domain.ids import CampaignId, DeviceId, shard_of
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.steps import Change
from shared.domain.waves import DeviceBatch
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.plan_campaign import CLAIM_BATCHES
from shared.ports.errors import NotThere
from shared.ports.stored import Stored


def claim_batches(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with the next batches of the wave in planning claimed; running after the last wave's."""
    planning = campaign.planning
    wave = campaign.waves[planning.claimed_wave - 1]
    if planning.claimed_batches >= wave.batches:
        return Change(campaign=_next_wave(campaign, ports), due_at=now)
    part, stop = planning.claimed_batches // CLAIM_BATCHES, planning.claimed_batches + CLAIM_BATCHES
    batches = ports.manifests.read_batches(campaign.id, wave.number)[planning.claimed_batches : stop]
    members = ports.manifests.read_members(campaign.id, wave.number, part)
    holders = _Holders(campaign=campaign.id, ports=ports, campaigns={})
    for batch, devices in zip(batches, members, strict=True):
        _claim_batch(campaign, batch, devices, holders, ports, now)
    claimed = replace(planning, claimed_batches=planning.claimed_batches + len(batches))
    return Change(campaign=replace(campaign, planning=claimed), due_at=now)


def _next_wave(campaign: Campaign, ports: CampaignPorts) -> Campaign:
    """Counts what the finished wave had to skip, from its counters, so that a repeat counts the same."""
    planning = campaign.planning
    counters = ports.rollouts.read_counters(campaign.id, planning.claimed_wave, campaign.shards)
    skipped = planning.skipped + counters.of(RolloutState.SKIPPED)
    if planning.claimed_wave < len(campaign.waves):
        planning = replace(planning, claimed_wave=planning.claimed_wave + 1, claimed_batches=0, skipped=skipped)
        return replace(campaign, planning=planning)
    planning = replace(planning, phase=PlanningPhase.DONE, skipped=skipped)
    return replace(campaign, planning=planning, state=CampaignState.RUNNING, reason="")


def _claim_batch(
    campaign: Campaign,
    batch: DeviceBatch,
    devices: Sequence[DeviceId],
    holders: _Holders,
    ports: CampaignPorts,
    now: datetime,
) -> None:
    records = _hold(devices, holders, ports, now)
    rollouts = [_rollout(campaign.id, batch, records[device], now) for device in devices]
    ports.rollouts.create_batch(campaign.id, batch.shard, rollouts)


def _hold(
    devices: Sequence[DeviceId], holders: _Holders, ports: CampaignPorts, now: datetime
) -> Mapping[DeviceId, DeviceRecord]:
    """The device rows after the campaign took all it may have.

    Raises:
        ConcurrentChange: Other campaigns kept writing the same rows.
    """

    def attempt() -> Mapping[DeviceId, DeviceRecord]:
        rows = ports.devices.read_batch(devices)
        taken = holders.holding([row.value for row in rows.values()])
        before = [rows.get(device, _unknown(device, now)) for device in devices]
        after = [row if row.value.device in taken else _claimed(row, holders.campaign, now) for row in before]
        changed = [new for old, new in zip(before, after, strict=True) if new.value != old.value]
        if changed:
            ports.devices.write(changed)
        return {row.value.device: row.value for row in after}

    return until_written(attempt, what=f"device rows of {holders.campaign}")


def _unknown(device: DeviceId, now: datetime) -> Stored[DeviceRecord]:
    return Stored(value=DeviceRecord(device=device, changed_at=now), etag="")


def _claimed(row: Stored[DeviceRecord], campaign: CampaignId, now: datetime) -> Stored[DeviceRecord]:
    return Stored(value=claim(row.value, campaign, now=now), etag=row.etag)


def _rollout(campaign: CampaignId, batch: DeviceBatch, record: DeviceRecord, now: datetime) -> Rollout:
    planned = Rollout(
        device=record.device,
        campaign=campaign,
        wave=batch.wave,
        batch=batch.number,
        sequence=record.sequence,
        changed_at=now,
    )
    if record.held_by == campaign:
        return planned
    return replace(planned, state=RolloutState.SKIPPED, code=f"held_by:{record.held_by}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holders:
    """Tells holds that count from stale ones; remembers the campaigns that hold for the length of one step."""

    campaign: CampaignId
    ports: CampaignPorts
    campaigns: dict[CampaignId, Campaign | None]

    def holding(self, records: Sequence[DeviceRecord]) -> frozenset[DeviceId]:
        """The devices that other campaigns hold."""
        held: dict[CampaignId, list[DeviceId]] = {}
        for record in records:
            if record.held_by is not None and record.held_by != self.campaign:
                held.setdefault(record.held_by, []).append(record.device)
        return frozenset(device for holder, devices in held.items() for device in self._held(holder, devices))

    def _held(self, holder: CampaignId, devices: Sequence[DeviceId]) -> list[DeviceId]:
        if (campaign := self._find(holder)) is None:
            return []
        rows = self._read_rows(campaign, devices)
        return [
            device
            for device in devices
            # A campaign claims a device before it writes the rollout row: until then the campaign itself speaks for it.
            if (not rows[device].value.is_final if device in rows else not campaign.is_finished)
        ]

    def _read_rows(self, holder: Campaign, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Stored[Rollout]]:
        """The holder's rollout rows, which lie in its own shards: it may have been posted under another hub size."""
        by_shard: dict[int, list[DeviceId]] = {}
        for device in devices:
            by_shard.setdefault(shard_of(device, holder.shards), []).append(device)
        rows: dict[DeviceId, Stored[Rollout]] = {}
        for shard, members in by_shard.items():
            rows |= self.ports.rollouts.read_devices(holder.id, shard, members)
        return rows

    def _find(self, holder: CampaignId) -> Campaign | None:
        if holder not in self.campaigns:
            self.campaigns[holder] = self._read(holder)
        return self.campaigns[holder]

    def _read(self, holder: CampaignId) -> Campaign | None:
        try:
            return self.ports.campaigns.get(holder).value
        except NotThere:
            return None
