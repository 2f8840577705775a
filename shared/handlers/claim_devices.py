"""Claiming: every target gets a rollout row, planned where it is free, skipped or waiting where another campaign holds
it, skipped where it runs the version already, or where none of several packages is for it.

Repeating a claim at any point ends in the same rows: a device held by the campaign keeps its sequence, and a batch
whose rollout rows are written is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign, CampaignState, Planning, PlanningPhase
from shared.domain.conflicts import OnConflict, held_by, waits_for
from shared.domain.devices import DeviceRecord, claim
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.quotas import quota_reason
from shared.domain.rollouts import PackageTarget, Rollout, RolloutState
from shared.domain.starting import go_on
from shared.domain.steps import Change
from shared.domain.variants import NO_PACKAGE, choose_variant, count_variants
from shared.domain.waves import DeviceBatch, Wave
from shared.handlers.asked_twins import AskedTwins
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.current_devices import CURRENT, CurrentDevices
from shared.handlers.holders import Holders
from shared.handlers.plan_campaign import CLAIM_BATCHES
from shared.ports.campaigns import ManifestStore
from shared.ports.errors import QuotaExceeded, Throttled
from shared.ports.stored import Stored

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
    try:
        for batch, devices in batches_in_hand(campaign, wave, ports.manifests):
            planning = count_skipped(campaign, planning, claimer.claim_batch(batch, devices))
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


def _next_wave(campaign: Campaign, now: datetime) -> Campaign:
    planning = campaign.planning
    if planning.claimed_wave < len(campaign.waves):
        planning = replace(planning, claimed_wave=planning.claimed_wave + 1, claimed_batches=0)
        return replace(campaign, planning=planning)
    planning = replace(planning, phase=PlanningPhase.DONE)
    return go_on(replace(campaign, planning=planning), now=now)


def count_skipped(campaign: Campaign, planning: Planning, rollouts: Sequence[Rollout]) -> Planning:
    """The cursor behind a batch whose rows are written, what of it had to be skipped, and who gets which package."""
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
    )


class Claimer:
    """Claims the batches of one step; remembers for its length what it learnt of other campaigns and of twins."""

    def __init__(self, campaign: Campaign, ports: CampaignPorts, now: datetime) -> None:
        self._campaign = campaign
        self._ports = ports
        self._now = now
        self._holders = Holders(campaign.id, ports.campaigns, ports.rollouts)
        self._twins = AskedTwins(ports.twins)
        self._current = CurrentDevices(self._target_of, self._twins)

    @property
    def confirmations(self) -> int:
        """Twins read so far."""
        return self._twins.reads

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
        before = [rows.get(device, _unknown(device, self._now)) for device in devices]
        known = [self._known(row) for row in before]
        left_alone = self._left_alone([row.value for row in known])
        after = [
            row if row.value.device in left_alone else _claimed(row, self._campaign.id, self._now) for row in known
        ]
        changed = [new for old, new in zip(before, after, strict=True) if new.value != old.value]
        if changed:
            self._ports.devices.write(changed)
        return {row.value.device: row.value for row in after}

    def _known(self, row: Stored[DeviceRecord]) -> Stored[DeviceRecord]:
        """The row with what the choice of a package needs; what its twin said is kept, so that it is read once."""
        if not self._campaign.other_packages or row.value.hardware:
            return row
        hardware = self._twins.hardware(row.value.device)
        return (
            Stored(value=replace(row.value, hardware=hardware, changed_at=self._now), etag=row.etag)
            if hardware
            else row
        )

    def _left_alone(self, records: Sequence[DeviceRecord]) -> frozenset[DeviceId]:
        """The devices that the campaign may not have, or has nothing for."""
        unfit = {record.device for record in records if self._variant_of(record) is None}
        taken = self._holders.find_holds([record for record in records if record.device not in unfit]).keys() | unfit
        free = [record for record in records if record.device not in taken]
        return self._current.among([record for record in free if record.held_by != self._campaign.id]) | taken

    def _variant_of(self, record: DeviceRecord) -> int | None:
        return choose_variant(self._campaign.packages, record.hardware)

    def _target_of(self, record: DeviceRecord) -> PackageTarget:
        return self._campaign.spec.packages[self._variant_of(record) or 0]

    def _rollout(self, batch: DeviceBatch, record: DeviceRecord) -> Rollout:
        variant = self._variant_of(record)
        planned = Rollout(
            device=record.device,
            campaign=self._campaign.id,
            wave=batch.wave,
            batch=batch.number,
            sequence=record.sequence,
            variant=variant or 0,
            former_version=record.installed.get(self._target_of(record).name, ""),
            hardware=record.hardware if self._campaign.other_packages else "",
            changed_at=self._now,
        )
        if variant is None:
            return replace(planned, state=RolloutState.SKIPPED, code=NO_PACKAGE, detail=_why_none(record))
        if record.held_by == self._campaign.id:
            return planned
        if record.device in self._current.confirmed:
            return replace(planned, state=RolloutState.SKIPPED, code=CURRENT)
        return self._held(planned, record)

    def _held(self, planned: Rollout, record: DeviceRecord) -> Rollout:
        holder = record.held_by or self._campaign.id
        if self._campaign.spec.precedence.on_conflict is OnConflict.SKIP:
            return replace(planned, state=RolloutState.SKIPPED, code=held_by(holder))
        # No claim has the sequence 0: what is to be proven by an offer is known once the device is ours.
        return replace(planned, sequence=0, code=waits_for(holder))


def _why_none(record: DeviceRecord) -> str:
    if not record.hardware:
        return "neither the service nor its twin knows its hardware"
    return f"none of the campaign's packages is for {record.hardware}"


def _unknown(device: DeviceId, now: datetime) -> Stored[DeviceRecord]:
    return Stored(value=DeviceRecord(device=device, changed_at=now), etag="")


def _claimed(row: Stored[DeviceRecord], campaign: CampaignId, now: datetime) -> Stored[DeviceRecord]:
    return Stored(value=claim(row.value, campaign, now=now), etag=row.etag)
