"""Claiming: every target gets a rollout row, planned where it is free, skipped where another campaign holds it or where
it runs the version already.

Repeating a claim at any point ends in the same rows: a device held by the campaign keeps its sequence, and a batch
whose rollout rows are written is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign, CampaignState, Planning, PlanningPhase
from shared.domain.devices import DeviceRecord, claim
from shared.domain.ids import CampaignId, DeviceId, shard_of
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.steps import Change
from shared.domain.waves import DeviceBatch, Wave
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.current_devices import CURRENT, CurrentDevices
from shared.handlers.plan_campaign import CLAIM_BATCHES, QUOTA_REASON
from shared.ports.campaigns import ManifestStore
from shared.ports.errors import NotThere, QuotaExceeded, Throttled
from shared.ports.stored import Stored

CONFIRMATIONS = 500
"""Twins read in one step before it is kept: seconds, and within what IoT Hub S1 allows for a minute."""

CONFIRM_AGAIN_S = 15.0
"""How long a throttled step waits, where the hub does not say."""

_HELD_BY = "held_by:"


def claim_batches(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with the next batches of the wave in planning claimed; running after the last wave's.

    It is paused where the hub's daily quota is used up.
    """
    planning = campaign.planning
    wave = campaign.waves[planning.claimed_wave - 1]
    if planning.claimed_batches >= wave.batches:
        return Change(campaign=_next_wave(campaign), due_at=now)
    claimer = _Claimer(campaign, ports, now)
    try:
        for batch, devices in _batches_in_hand(campaign, wave, ports.manifests):
            planning = _counted(planning, claimer.claim_batch(batch, devices))
            if claimer.confirmations >= CONFIRMATIONS:
                break
    except Throttled as error:
        wait = timedelta(seconds=error.retry_after_s or CONFIRM_AGAIN_S)
        return Change(campaign=replace(campaign, planning=planning), due_at=now + wait)
    except QuotaExceeded:
        paused = replace(campaign, planning=planning, state=CampaignState.PAUSED, reason=QUOTA_REASON)
        return Change(campaign=paused, due_at=now)
    return Change(campaign=replace(campaign, planning=planning), due_at=now)


def _batches_in_hand(
    campaign: Campaign, wave: Wave, manifests: ManifestStore
) -> list[tuple[DeviceBatch, list[DeviceId]]]:
    """The batches left of the part of the manifest in hand, with their devices."""
    claimed = campaign.planning.claimed_batches
    part, done = divmod(claimed, CLAIM_BATCHES)
    members = manifests.read_members(campaign.id, wave.number, part)[done:]
    batches = manifests.read_batches(campaign.id, wave.number)[claimed : claimed + len(members)]
    return list(zip(batches, members, strict=True))


def _next_wave(campaign: Campaign) -> Campaign:
    planning = campaign.planning
    if planning.claimed_wave < len(campaign.waves):
        planning = replace(planning, claimed_wave=planning.claimed_wave + 1, claimed_batches=0)
        return replace(campaign, planning=planning)
    planning = replace(planning, phase=PlanningPhase.DONE)
    return replace(campaign, planning=planning, state=CampaignState.RUNNING, reason="")


def _counted(planning: Planning, rollouts: Sequence[Rollout]) -> Planning:
    """The cursor behind a batch whose rows are written, and what of it had to be skipped."""
    current = sum(rollout.code == CURRENT for rollout in rollouts)
    held = sum(rollout.code.startswith(_HELD_BY) for rollout in rollouts)
    return replace(
        planning,
        claimed_batches=planning.claimed_batches + 1,
        skipped=planning.skipped + held,
        current=planning.current + current,
    )


class _Claimer:
    """Claims the batches of one step; remembers for its length what it learnt of other campaigns and of twins."""

    def __init__(self, campaign: Campaign, ports: CampaignPorts, now: datetime) -> None:
        self._campaign = campaign
        self._ports = ports
        self._now = now
        self._holders = _Holders(campaign=campaign.id, ports=ports, campaigns={})
        self._current = CurrentDevices(campaign.target, ports.twins)

    @property
    def confirmations(self) -> int:
        """Twins read so far."""
        return self._current.reads

    def claim_batch(self, batch: DeviceBatch, devices: Sequence[DeviceId]) -> list[Rollout]:
        """The rows of the batch as they stand, written now or by an earlier try.

        Raises:
            ConcurrentChange: Other campaigns kept writing the same device rows.
        """
        what = f"device rows of {self._campaign.id}"
        records = until_written(lambda: self._hold(devices), what=what)
        rollouts = [self._rollout(batch, records[device]) for device in devices]
        if self._ports.rollouts.create_batch(self._campaign.id, batch.shard, rollouts):
            return rollouts
        return [row.value for row in self._ports.rollouts.read_batch(self._campaign.id, batch)]

    def _hold(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceRecord]:
        """The device rows after the campaign took all it may have and has something for."""
        rows = self._ports.devices.read_batch(devices)
        taken = self._holders.holding([row.value for row in rows.values()])
        free = [row.value for row in rows.values() if row.value.device not in taken]
        left_alone = taken | self._current.among([record for record in free if record.held_by != self._campaign.id])
        before = [rows.get(device, _unknown(device, self._now)) for device in devices]
        after = [
            row if row.value.device in left_alone else _claimed(row, self._campaign.id, self._now) for row in before
        ]
        changed = [new for old, new in zip(before, after, strict=True) if new.value != old.value]
        if changed:
            self._ports.devices.write(changed)
        return {row.value.device: row.value for row in after}

    def _rollout(self, batch: DeviceBatch, record: DeviceRecord) -> Rollout:
        planned = Rollout(
            device=record.device,
            campaign=self._campaign.id,
            wave=batch.wave,
            batch=batch.number,
            sequence=record.sequence,
            changed_at=self._now,
        )
        if record.held_by == self._campaign.id:
            return planned
        code = CURRENT if record.device in self._current.confirmed else f"{_HELD_BY}{record.held_by}"
        return replace(planned, state=RolloutState.SKIPPED, code=code)


def _unknown(device: DeviceId, now: datetime) -> Stored[DeviceRecord]:
    return Stored(value=DeviceRecord(device=device, changed_at=now), etag="")


def _claimed(row: Stored[DeviceRecord], campaign: CampaignId, now: datetime) -> Stored[DeviceRecord]:
    return Stored(value=claim(row.value, campaign, now=now), etag=row.etag)


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
