"""What every budget store does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables import TableClient

from shared.adapters.azure_budget import AzureBudget
from shared.domain.pacing import NO_LOAD, slow_down
from shared.domain.waves import DeviceBatch
from shared.handlers.reserve_slots import reserve_slots, take_turn
from shared.ports.campaigns import BudgetStore
from shared.ports.errors import ConcurrentChange
from tests.support.memory_campaigns import MemoryBudget
from tests.support.tables import new_table

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)


@pytest.fixture
def table(storage_connection: str) -> Iterator[TableClient]:
    with new_table(storage_connection, "budget") as table:
        yield table


@pytest.fixture(params=["memory", "azure"])
def store(request: pytest.FixtureRequest) -> BudgetStore:
    if request.param == "memory":
        return MemoryBudget(50.0)
    return AzureBudget(request.getfixturevalue("table"), hub="hub.example", ceiling_per_s=50.0)


def test_a_new_budget_owes_nothing_and_has_the_hubs_full_rate(store: BudgetStore) -> None:
    budget = store.get().value
    assert (budget.rate_per_s, budget.ceiling_per_s) == (50.0, 50.0)
    assert budget.next_free_at < NOW


def test_a_budget_is_read_back_as_it_was_written(store: BudgetStore) -> None:
    row = store.get()
    changed = replace(slow_down(row.value, now=NOW), next_free_at=NOW + timedelta(seconds=9.9))
    store.save(replace(row, value=changed))
    assert store.get().value == changed


def test_a_write_over_somebody_elses_is_refused(store: BudgetStore) -> None:
    row = store.get()
    store.save(row)
    with pytest.raises(ConcurrentChange):
        store.save(row)


def test_campaigns_that_reserve_at_once_get_slots_of_their_own(store: BudgetStore) -> None:
    """I6: the budget is shared by all campaigns and instances."""
    batch = DeviceBatch(wave=1, shard=0, number=0, first="a", last="b", count=10)  # type: ignore[arg-type]

    def campaign(_number: int) -> list[datetime]:
        for _ in range(20):
            try:
                return [at for _, at in reserve_slots(store, [batch] * 3, now=NOW, load=NO_LOAD).slots]
            except ConcurrentChange:
                continue
        raise AssertionError("never got through")

    with ThreadPoolExecutor(4) as pool:
        slots = sorted(at for found in pool.map(campaign, range(4)) for at in found)
    assert slots == [NOW + timedelta(seconds=number) for number in range(12)]


def test_turns_that_are_taken_at_once_come_one_after_the_other(store: BudgetStore) -> None:
    """I6: what is taken back once more is charged one update a device."""

    def taken(_number: int) -> datetime:
        for _ in range(20):
            try:
                return take_turn(store, 50, now=NOW)
            except ConcurrentChange:
                continue
        raise AssertionError("never got through")

    with ThreadPoolExecutor(4) as pool:
        turns = sorted(pool.map(taken, range(8)))
    assert turns == [NOW + timedelta(seconds=number) for number in range(8)]


def test_a_hub_that_was_scaled_is_used_at_once(table: TableClient) -> None:
    AzureBudget(table, hub="hub", ceiling_per_s=50.0).get()
    assert AzureBudget(table, hub="hub", ceiling_per_s=500.0).get().value.rate_per_s == 500.0
    assert AzureBudget(table, hub="hub", ceiling_per_s=10.0).get().value.rate_per_s == 10.0


def test_each_hub_has_its_own_row(table: TableClient) -> None:
    one, two = (AzureBudget(table, hub=hub, ceiling_per_s=50.0) for hub in ("one", "two"))
    row = one.get()
    one.save(replace(row, value=replace(row.value, next_free_at=NOW)))
    assert two.get().value.next_free_at < NOW
