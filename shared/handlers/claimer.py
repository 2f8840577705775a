"""Claiming one device batch: who is free, who runs the version already, and which of several packages is for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from shared.domain.campaigns import Campaign
from shared.domain.conflicts import OnConflict, held_by, waits_for
from shared.domain.devices import DeviceRecord, claim
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import PackageTarget, Rollout, RolloutState
from shared.domain.variants import NO_PACKAGE, choose_variant
from shared.domain.waves import DeviceBatch
from shared.handlers.asked_twins import AskedTwins
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.contention import until_written
from shared.handlers.current_devices import CURRENT, CurrentDevices
from shared.handlers.holders import Holders
from shared.ports.errors import PortError
from shared.ports.stored import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedBatch:
    """A device batch that was claimed.

    Attributes:
        rollouts: The rows of the batch as they stand, written now or by an earlier try.
        records: What is known of its devices.
    """

    rollouts: Sequence[Rollout]
    records: Mapping[DeviceId, DeviceRecord]


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

    def claim_batch(
        self, batch: DeviceBatch, devices: Sequence[DeviceId], listed: Mapping[DeviceId, str] = MappingProxyType({})
    ) -> ClaimedBatch:
        """Claim the batch, or find that it was claimed.

        Args:
            listed: What devices said they were when they were listed; others' twins are read, where it matters.

        Raises:
            ConcurrentChange: Other campaigns kept writing the same device rows.
        """
        what = f"device rows of {self._campaign.id}"
        records = until_written(lambda: self._hold(devices, listed), what=what)
        rollouts = [self._rollout(batch, records[device]) for device in devices]
        if not self._ports.rollouts.create_batch(self._campaign.id, batch.shard, rollouts):
            rollouts = [row.value for row in self._ports.rollouts.read_batch(self._campaign.id, batch)]
        return ClaimedBatch(rollouts=rollouts, records=records)

    def _hold(self, devices: Sequence[DeviceId], listed: Mapping[DeviceId, str]) -> Mapping[DeviceId, DeviceRecord]:
        """The device rows after the campaign took all it may have and has something for."""
        rows = self._ports.devices.read_batch(devices)
        before = [rows.get(device, _unknown(device, self._now)) for device in devices]
        known = self._known(before, listed)
        left_alone = self._left_alone([row.value for row in known])
        after = [
            row if row.value.device in left_alone else _claimed(row, self._campaign.id, self._now) for row in known
        ]
        self._keep(before, after)
        return {row.value.device: row.value for row in after}

    def _keep(self, before: Sequence[Stored[DeviceRecord]], after: Sequence[Stored[DeviceRecord]]) -> None:
        changed = [new for old, new in zip(before, after, strict=False) if new.value != old.value]
        if changed:
            self._ports.devices.write(changed)

    def _known(
        self, rows: Sequence[Stored[DeviceRecord]], listed: Mapping[DeviceId, str]
    ) -> Sequence[Stored[DeviceRecord]]:
        """The rows with what the choice of a package needs; what their twins said is kept, so that they are read once.

        Raises:
            PortError: A twin cannot be read now. The next try goes on behind the ones that were read.
        """
        known: list[Stored[DeviceRecord]] = []
        try:
            for row in rows:
                known.append(self._with_hardware(row, listed))
        except PortError:
            self._keep(rows, known)
            raise
        return known

    def _with_hardware(self, row: Stored[DeviceRecord], listed: Mapping[DeviceId, str]) -> Stored[DeviceRecord]:
        if not self._campaign.other_packages or row.value.hardware:
            return row
        device = row.value.device
        hardware = listed.get(device) or self._twins.hardware(device)
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
            hardware=record.hardware,
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
