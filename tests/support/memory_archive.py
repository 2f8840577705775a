"""Rollout rows as they lie in the table, and the archive, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import batched

from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import Rollout
from shared.ports.archive import RowCopy
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere
from shared.ports.stored import Stored
from shared.wire.archive_parts import storable
from shared.wire.keys import device_of, row_key
from shared.wire.rollout_rows import write_rollout
from tests.support.memory_rollouts import MemoryRollouts
from tests.support.mortal import Life


class MemoryRolloutRows:
    """A ``RolloutRows`` over a rollout store in memory; the process may die between two transactions."""

    def __init__(self, rollouts: MemoryRollouts, life: Life | None = None, *, per_transaction: int = 100) -> None:
        self._shards = rollouts.shards
        self._life = life or Life()
        self._per_transaction = per_transaction

    def read_after(self, campaign: CampaignId, shard: int, *, after: str, limit: int) -> list[RowCopy]:
        return [row for row in self._rows(campaign, shard) if row.key > after][:limit]

    def read_between(self, campaign: CampaignId, shard: int, *, first: str, last: str) -> list[RowCopy]:
        return [row for row in self._rows(campaign, shard) if first <= row.key <= last]

    def delete(self, campaign: CampaignId, shard: int, rows: Sequence[RowCopy]) -> None:
        for some in batched(rows, self._per_transaction):
            self._life.spend(lambda some=some: self._delete(campaign, shard, some))  # type: ignore[misc]

    def _delete(self, campaign: CampaignId, shard: int, rows: Sequence[RowCopy]) -> None:
        there = self.shard(campaign, shard)
        devices = [device_of(row.key) for row in rows]
        for device, row in zip(devices, rows, strict=True):
            if device not in there or there[device].etag != row.etag:
                raise ConcurrentChange(device)
        for device in devices:
            del there[device]

    def shard(self, campaign: CampaignId, shard: int) -> dict[DeviceId, Stored[Rollout]]:
        """The rows of one shard, for tests to change."""
        return self._shards.setdefault((campaign, shard), {})

    def _rows(self, campaign: CampaignId, shard: int) -> list[RowCopy]:
        copies = []
        for device, row in self.shard(campaign, shard).items():
            columns = {name: storable(value) for name, value in write_rollout(row.value, shard).items()}
            fields = {name: value for name, value in columns.items() if name not in ("PartitionKey", "RowKey")}
            copies.append(RowCopy(key=row_key(device), etag=row.etag, fields=fields))
        return sorted(copies, key=lambda copy: copy.key)


class MemoryArchive:
    """An ``ArchiveStore``."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def create(self, name: str, content: bytes) -> None:
        if name in self.blobs:
            raise AlreadyExists(name)
        self.blobs[name] = content

    def read(self, name: str) -> bytes:
        if name not in self.blobs:
            raise NotThere(name)
        return self.blobs[name]
