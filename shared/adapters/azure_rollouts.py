"""The ``rollout`` table on Azure Table storage."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.data.tables import TableClient, TableEntity, TableTransactionError, UpdateMode

from shared.adapters.azure_ring_reads import RingReader
from shared.adapters.azure_table_errors import failed_operation, port_error, table_errors
from shared.adapters.azure_wave_counters import CountersRow, WaveCounters
from shared.adapters.stored_rows import read_row
from shared.domain.cohorts import Tally
from shared.domain.gates import Counters
from shared.domain.ids import RING_SIZE, CampaignId, DeviceId, ring_position
from shared.domain.rollouts import OPEN_OFFERS, Rollout, RolloutState
from shared.domain.waves import DeviceBatch
from shared.ports.errors import AlreadyExists, ConcurrentChange, PortError
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.keys import rollout_partition
from shared.wire.rollout_rows import (
    COUNTERS_PREFIX,
    count_column,
    is_rollout,
    read_counters,
    read_rollout,
    write_rollout,
    write_tally,
)

type _Operation = tuple[str, dict[str, Any], dict[str, Any]]
type _Moves = list[tuple[Rollout | None, Rollout]]

COUNTERS_PATIENCE_S = 5.0
"""How long a commit tries again while only the counters row is contended."""

_STALE_PAGES = 10
_RING_END = RING_SIZE - 1
_KEYS_BEGIN, _KEYS_END = "0", "g"
_NOTHING = Tally()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AzureRollouts:
    """A ``RolloutStore``; one instance serves all threads of a process."""

    def __init__(
        self,
        table: TableClient,
        *,
        patience_s: float = COUNTERS_PATIENCE_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._rows = RingReader(table)
        self._counters = WaveCounters(table)
        self._patience_s = patience_s
        self._sleep = sleep

    def create_batch(self, campaign: CampaignId, shard: int, rollouts: Sequence[Rollout]) -> bool:
        operations: list[_Operation] = [("create", write_rollout(rollout, shard), {}) for rollout in rollouts]
        moves: _Moves = [(None, rollout) for rollout in rollouts]
        try:
            self._commit(_Place(campaign=campaign, shard=shard, wave=rollouts[0].wave), operations, moves)
        except AlreadyExists:
            return False
        return True

    def read_batch(self, campaign: CampaignId, batch: DeviceBatch) -> list[Stored[Rollout]]:
        partition = rollout_partition(campaign, batch.shard)
        first, last = ring_position(batch.first), ring_position(batch.last)
        ranges = [(first, last)] if first <= last else [(first, _RING_END), (0, last)]
        # A wave cut by a condition is thinly spread: the table, not the caller, passes over the rows between.
        where, named = " and wave eq @wave and batch eq @batch", {"wave": batch.wave, "batch": batch.number}
        found = [row for arc in ranges for row in self._rows.read_range(partition, *arc, where=where, named=named)]
        return [_stored(row) for row in found if is_rollout(row)]

    def read_devices(
        self, campaign: CampaignId, shard: int, devices: Sequence[DeviceId]
    ) -> Mapping[DeviceId, Stored[Rollout]]:
        rows = self._rows.read_devices(rollout_partition(campaign, shard), devices)
        return {device: _stored(row) for device, row in rows.items()}

    def write(self, campaign: CampaignId, shard: int, changes: Sequence[RolloutChange]) -> list[Stored[Rollout]]:
        if not changes:
            return []
        operations = [_replacement(write_rollout(change.after, shard), change.before.etag) for change in changes]
        moves: _Moves = [(change.before.value, change.after) for change in changes if _counts(change)]
        place = _Place(campaign=campaign, shard=shard, wave=changes[0].after.wave)
        etags = self._commit(place, operations, moves)
        return [Stored(value=change.after, etag=etag) for change, etag in zip(changes, etags, strict=True)]

    def move(self, campaign: CampaignId, shard: int, changes: Sequence[RolloutChange]) -> None:
        old, new = changes[0].before.value.wave, changes[0].after.wave
        if old == new:
            self.write(campaign, shard, changes)
            return
        rows = [_replacement(write_rollout(change.after, shard), change.before.etag) for change in changes]
        moved = [change.after for change in changes]
        gives_up_at = time.monotonic() + self._patience_s
        while True:
            try:
                self._commit_move(_Place(campaign=campaign, shard=shard, wave=old), new, rows, moved)
            except _CountersMoved:
                if time.monotonic() >= gives_up_at:
                    raise ConcurrentChange(f"the counters of {campaign} stayed contended") from None
                self._sleep(random.uniform(0.01, 0.2))
            else:
                return

    def _commit_move(self, old: _Place, wave: int, rows: list[_Operation], moved: Sequence[Rollout]) -> None:
        """Rare, and of waves that nobody dispatches: the counters are read anew, and forgotten afterwards."""
        try:
            before, after = self._counters.read(old.partition, old.wave), self._counters.read(old.partition, wave)
            counted = write_tally(after.tally.joined_by(moved), old.campaign, old.shard, wave)
            remaining = write_tally(before.tally.left_by(moved), old.campaign, old.shard, old.wave)
            self._submit(
                [
                    *rows,
                    _replacement(remaining, before.etag),
                    _replacement(counted, after.etag) if after.etag else ("create", counted, {}),
                ]
            )
        except AzureError as error:
            raise _verdict(error, rows=len(rows)) from error
        finally:
            self._counters.forget(old.partition, old.wave)
            self._counters.forget(old.partition, wave)

    def read_counters(self, campaign: CampaignId, wave: int, shards: int) -> Counters:
        return self.read_tally(campaign, wave, shards).counters

    def read_tally(self, campaign: CampaignId, wave: int, shards: int) -> Tally:
        with table_errors():
            rows = [self._counters.read(rollout_partition(campaign, shard), wave) for shard in range(shards)]
        return sum((row.tally for row in rows), start=Tally())

    def count_open(self, campaign: CampaignId, shard: int) -> int:
        with table_errors():
            rows = self._table.query_entities(
                "PartitionKey eq @partition and RowKey ge @first and RowKey lt @last",
                parameters={
                    "partition": rollout_partition(campaign, shard),
                    "first": COUNTERS_PREFIX,
                    "last": f"{COUNTERS_PREFIX}~",
                },
                select=[count_column(state) for state in RolloutState],
            )
            return sum(read_row(read_counters, row).of(*OPEN_OFFERS) for row in rows)

    def read_stale(
        self, campaign: CampaignId, shard: int, *, before: datetime, start: int, limit: int
    ) -> list[Stored[Rollout]]:
        partition = rollout_partition(campaign, shard)
        here = f"{start:08x}~"
        stale: list[Stored[Rollout]] = []
        for first, last in ((here, _KEYS_END), (_KEYS_BEGIN, here)):
            if len(stale) < limit:
                stale += self._read_stale_arc(partition, first, last, before, limit - len(stale))
        return stale

    def _read_stale_arc(
        self, partition: str, first: str, last: str, before: datetime, limit: int
    ) -> list[Stored[Rollout]]:
        pages = self._table.query_entities(
            # Only open rows with an offer have a deadline.
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @last and changed_at lt @before "
            "and due_at ge @epoch",
            parameters={"partition": partition, "first": first, "last": last, "before": before, "epoch": _EPOCH},
            results_per_page=limit,
        ).by_page()
        found: list[Stored[Rollout]] = []
        with table_errors():
            for _, page in zip(range(_STALE_PAGES), pages, strict=False):
                found += [_stored(row) for row in page]
                if len(found) >= limit:
                    break
        return found[:limit]

    def _commit(self, place: _Place, operations: list[_Operation], moves: _Moves) -> list[str]:
        """Run the operations, and move the counters in the same transaction; the rows' new etags, in order."""
        if not moves:
            with table_errors():
                return self._submit(operations)
        gives_up_at = time.monotonic() + self._patience_s
        while True:
            with self._counters.turn(place.partition, place.wave, timeout_s=gives_up_at - time.monotonic()):
                try:
                    return self._commit_counted(place, operations, moves)
                except _CountersMoved:
                    if time.monotonic() >= gives_up_at:
                        raise ConcurrentChange(f"the counters of {place.partition} stayed contended") from None
            self._sleep(random.uniform(0.01, 0.2))

    def _commit_counted(self, place: _Place, operations: list[_Operation], moves: _Moves) -> list[str]:
        try:
            row = self._counters.recall(place.partition, place.wave)
            tally = row.tally
            for before, after in moves:
                tally = tally.moved(before, after)
            entity = write_tally(tally, place.campaign, place.shard, place.wave)
            operation = _replacement(entity, row.etag) if row.etag else ("create", entity, {})
            *etags, counters_etag = self._submit([*operations, operation])
        except AzureError as error:
            self._counters.forget(place.partition, place.wave)
            raise _verdict(error, rows=len(operations)) from error
        self._counters.remember(place.partition, place.wave, CountersRow(tally=tally, etag=counters_etag))
        return etags

    def _submit(self, operations: list[_Operation]) -> list[str]:
        return [str(result["etag"]) for result in self._table.submit_transaction(operations)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a commit happens."""

    campaign: CampaignId
    shard: int
    wave: int

    @property
    def partition(self) -> str:
        return rollout_partition(self.campaign, self.shard)


def _counts(change: RolloutChange) -> bool:
    """Whether the counters row has to know of the change."""
    return _NOTHING.moved(change.before.value, change.after) != _NOTHING


class _CountersMoved(PortError):
    """Only the counters row was written by somebody else."""


def _verdict(error: AzureError, *, rows: int) -> PortError:
    verdict = port_error(error)
    is_contention = isinstance(verdict, ConcurrentChange | AlreadyExists)
    if is_contention and isinstance(error, TableTransactionError) and failed_operation(error) >= rows:
        return _CountersMoved("the counters row changed since it was read")
    return verdict


def _replacement(entity: dict[str, Any], etag: str) -> _Operation:
    condition = {"mode": UpdateMode.REPLACE, "etag": etag, "match_condition": MatchConditions.IfNotModified}
    return "update", entity, condition


def _stored(row: TableEntity) -> Stored[Rollout]:
    return Stored(value=read_row(read_rollout, row), etag=str(row.metadata["etag"]))
