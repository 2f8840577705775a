"""Rollout and device rows in memory, with the conditions of the tables: etags, transactions, counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import count
from threading import RLock

from shared.domain.cohorts import Tally
from shared.domain.devices import DeviceRecord
from shared.domain.gates import Counters
from shared.domain.ids import RING_SIZE, CampaignId, DeviceId, ring_position
from shared.domain.rollouts import OPEN_OFFERS, Rollout, RolloutState
from shared.domain.waves import MAX_BATCH_DEVICES, DeviceBatch
from shared.ports.errors import ConcurrentChange
from shared.ports.rollouts import MAX_MOVED, RolloutChange
from shared.ports.stored import Stored

type _Shard = dict[DeviceId, Stored[Rollout]]


class MemoryRollouts:
    """A ``RolloutStore``.

    Attributes:
        tallies: What is counted of each campaign, shard and wave.
        tallies_read: How often each wave's counters were read.
    """

    def __init__(self) -> None:
        self.tallies_read: Counter[tuple[CampaignId, int]] = Counter()
        self.shards: dict[tuple[CampaignId, int], _Shard] = {}
        self.tallies: dict[tuple[CampaignId, int, int], Tally] = {}
        self._etags = count(1)
        self._lock = RLock()

    def create_batch(self, campaign: CampaignId, shard: int, rollouts: Sequence[Rollout]) -> bool:
        assert 1 <= len(rollouts) <= MAX_BATCH_DEVICES
        with self._lock:
            rows = self.shards.setdefault((campaign, shard), {})
            if any(rollout.device in rows for rollout in rollouts):
                return False
            for rollout in rollouts:
                rows[rollout.device] = self._stored(rollout)
                self._count(campaign, shard, None, rollout)
            return True

    def read_batch(self, campaign: CampaignId, batch: DeviceBatch) -> list[Stored[Rollout]]:
        start = ring_position(batch.first)
        arc = (ring_position(batch.last) - start) % RING_SIZE
        rows = self.shards.get((campaign, batch.shard), {}).values()
        members = [
            row
            for row in rows
            if (row.value.wave, row.value.batch) == (batch.wave, batch.number) and _offset(row, start) <= arc
        ]
        return sorted(members, key=lambda row: (_offset(row, start), row.value.device))

    def read_devices(
        self, campaign: CampaignId, shard: int, devices: Sequence[DeviceId]
    ) -> Mapping[DeviceId, Stored[Rollout]]:
        rows = self.shards.get((campaign, shard), {})
        return {device: rows[device] for device in devices if device in rows}

    def write(self, campaign: CampaignId, shard: int, changes: Sequence[RolloutChange]) -> list[Stored[Rollout]]:
        assert len(changes) <= MAX_BATCH_DEVICES
        assert len({change.after.wave for change in changes}) <= 1
        with self._lock:
            rows = self.shards.get((campaign, shard), {})
            if any(rows[change.after.device].etag != change.before.etag for change in changes):
                raise ConcurrentChange("a rollout row changed since it was read")
            written = [self._stored(change.after) for change in changes]
            for change, row in zip(changes, written, strict=True):
                rows[row.value.device] = row
                self._count(campaign, shard, change.before.value, row.value)
            return written

    def move(self, campaign: CampaignId, shard: int, changes: Sequence[RolloutChange]) -> None:
        assert len(changes) <= MAX_MOVED
        [before], [after] = {change.before.value.wave for change in changes}, {change.after.wave for change in changes}
        if before == after:
            self.write(campaign, shard, changes)
            return
        with self._lock:
            rows = self.shards.get((campaign, shard), {})
            if any(rows[change.after.device].etag != change.before.etag for change in changes):
                raise ConcurrentChange("a rollout row changed since it was read")
            moved = [change.after for change in changes]
            self.tallies[campaign, shard, before] = self.tallies[campaign, shard, before].left_by(moved)
            self.tallies[campaign, shard, after] = self._tally((campaign, shard, after)).joined_by(moved)
            for rollout in moved:
                rows[rollout.device] = self._stored(rollout)

    def read_counters(self, campaign: CampaignId, wave: int, shards: int) -> Counters:
        return self.read_tally(campaign, wave, shards).counters

    def read_tally(self, campaign: CampaignId, wave: int, shards: int) -> Tally:
        self.tallies_read[campaign, wave] += 1
        return sum((self._tally((campaign, shard, wave)) for shard in range(shards)), start=Tally())

    def _tally(self, key: tuple[CampaignId, int, int]) -> Tally:
        return self.tallies.get(key, Tally())

    def count_open(self, campaign: CampaignId, shard: int) -> int:
        keys = [key for key in self.tallies if key[:2] == (campaign, shard)]
        return sum(self.tallies[key].counters.of(*OPEN_OFFERS) for key in keys)

    def read_stale(
        self, campaign: CampaignId, shard: int, *, before: datetime, start: int, limit: int
    ) -> list[Stored[Rollout]]:
        stale = [
            row
            for row in self.shards.get((campaign, shard), {}).values()
            if not row.value.is_final and row.value.state is not RolloutState.PLANNED and row.value.changed_at < before
        ]
        return sorted(stale, key=lambda row: _offset(row, start))[:limit]

    def rows(self, campaign: CampaignId) -> dict[DeviceId, Rollout]:
        """All rows of a campaign, for tests to look at."""
        return {
            device: row.value for key, rows in self.shards.items() if key[0] == campaign for device, row in rows.items()
        }

    def _stored(self, rollout: Rollout) -> Stored[Rollout]:
        return Stored(value=rollout, etag=str(next(self._etags)))

    def _count(self, campaign: CampaignId, shard: int, before: Rollout | None, after: Rollout) -> None:
        key = (campaign, shard, after.wave)
        self.tallies[key] = self._tally(key).moved(before, after)


class MemoryDevices:
    """A ``DeviceStore``."""

    def __init__(self) -> None:
        self._rows: dict[DeviceId, Stored[DeviceRecord]] = {}
        self._etags = count(1)
        self._lock = RLock()

    def read_batch(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Stored[DeviceRecord]]:
        return {device: self._rows[device] for device in devices if device in self._rows}

    def write(self, records: Sequence[Stored[DeviceRecord]]) -> None:
        assert len(records) <= MAX_BATCH_DEVICES
        with self._lock:
            if any(self._etag(record.value.device) != record.etag for record in records):
                raise ConcurrentChange("a device row changed since it was read")
            for record in records:
                self._rows[record.value.device] = Stored(value=record.value, etag=str(next(self._etags)))

    def _etag(self, device: DeviceId) -> str:
        row = self._rows.get(device)
        return row.etag if row else ""


def counters_of(rollouts: Iterable[Rollout]) -> Counters:
    """The counters that rows amount to, counted one by one."""
    counters = Counters()
    for rollout in rollouts:
        counters = counters.moved(None, rollout.state)
    return counters


def _offset(row: Stored[Rollout], start: int) -> int:
    return (ring_position(row.value.device) - start) % RING_SIZE
