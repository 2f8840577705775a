"""Several processes at one counters row: each has a store of its own, none knows what the others remember."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from azure.data.tables import TableClient

from shared.adapters.azure_rollouts import AzureRollouts
from shared.domain.ids import DeviceId, ring_order
from shared.domain.rollouts import Rollout, RolloutState, move
from shared.domain.waves import DeviceBatch
from shared.ports.errors import ConcurrentChange
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from tests.support.rollouts import CAMPAIGN, NOON, make_rollout
from tests.support.tables import new_table

S = RolloutState


@pytest.fixture
def table(storage_connection: str) -> Iterator[TableClient]:
    with new_table(storage_connection, "rollout") as table:
        yield table


def plan(store: AzureRollouts, size: int) -> list[Stored[Rollout]]:
    devices = sorted((DeviceId(f"gw-{number}") for number in range(size)), key=lambda device: ring_order(device, 0))
    store.create_batch(CAMPAIGN, 0, [make_rollout(device, S.PLANNED) for device in devices])
    batch = DeviceBatch(wave=1, shard=0, number=0, first=devices[0], last=devices[-1], count=size)
    return store.read_batch(CAMPAIGN, batch)


def offer(row: Stored[Rollout]) -> RolloutChange:
    return RolloutChange(before=row, after=move(row.value, S.OFFERED, now=NOON))


def test_processes_that_write_different_rows_never_lose_a_count(table: TableClient) -> None:
    stores = [AzureRollouts(table, patience_s=20) for _ in range(4)]
    rows = plan(stores[0], 40)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(stores[place % 4].write, CAMPAIGN, 0, [offer(row)]) for place, row in enumerate(rows)]
        for job in jobs:
            job.result()
    counters = stores[0].read_counters(CAMPAIGN, 1, 1)
    assert (counters.of(S.OFFERED), counters.total) == (40, 40)


def test_counters_that_another_process_moved_are_read_again_in_place(table: TableClient) -> None:
    ours, theirs = AzureRollouts(table), AzureRollouts(table)
    first, second, third = plan(ours, 3)
    ours.write(CAMPAIGN, 0, [offer(first)])
    theirs.write(CAMPAIGN, 0, [offer(second)])
    ours.write(CAMPAIGN, 0, [offer(third)])
    assert ours.read_counters(CAMPAIGN, 1, 1).of(S.OFFERED) == 3


def test_a_row_that_another_process_moved_is_reported_at_once_whatever_the_counters(table: TableClient) -> None:
    ours, theirs = AzureRollouts(table), AzureRollouts(table)
    first, second = plan(ours, 2)
    theirs.write(CAMPAIGN, 0, [offer(first)])
    with pytest.raises(ConcurrentChange):
        ours.write(CAMPAIGN, 0, [offer(second), offer(first)])
    assert ours.read_counters(CAMPAIGN, 1, 1).of(S.OFFERED) == 1


def test_counters_that_stay_contended_are_given_up_and_nothing_is_written(table: TableClient) -> None:
    ours, theirs = AzureRollouts(table, patience_s=0.2), AzureRollouts(table)
    ours_row, theirs_row = plan(ours, 2)

    def overtake(_seconds: float) -> None:
        """They write their row between any two of our tries."""
        nonlocal theirs_row
        for state in (S.OFFERED, S.DOWNLOADING):
            change = RolloutChange(before=theirs_row, after=replace(theirs_row.value, state=state))
            [theirs_row] = theirs.write(CAMPAIGN, 0, [change])

    overtake(0)
    ours = AzureRollouts(_Overtaken(table, overtake), patience_s=0.2)  # type: ignore[arg-type]
    with pytest.raises(ConcurrentChange):
        ours.write(CAMPAIGN, 0, [offer(ours_row)])
    assert theirs.read_counters(CAMPAIGN, 1, 1).of(S.PLANNED) == 1


class _Overtaken:
    """A table whose transactions always come second."""

    def __init__(self, table: TableClient, overtake: object) -> None:
        self._table = table
        self._overtake = overtake

    def __getattr__(self, name: str) -> object:
        return getattr(self._table, name)

    def submit_transaction(self, operations: object) -> object:
        self._overtake(0)  # type: ignore[operator]
        return self._table.submit_transaction(operations)  # type: ignore[arg-type]
