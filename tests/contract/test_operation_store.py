"""What every store of dry runs does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.data.tables import TableClient

from shared.adapters.azure_operations import AzureOperations
from shared.domain.hearsay import Hearsay, Named
from shared.domain.ids import CampaignId, DeviceId, OperationId
from shared.domain.operations import Operation, OperationState
from shared.domain.plan_findings import Conflict, Findings
from shared.domain.planning import Planning, PlanningPhase
from shared.domain.waves import Rest, WaveSpec, slice_waves
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere
from shared.ports.operations import OperationStore
from shared.ports.stored import Stored
from tests.support.made_campaigns import make_campaign
from tests.support.memory_operations import MemoryOperations
from tests.support.tables import new_table

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)
WAVES = tuple(WaveSpec(name="w" * 90 + f" {number}", size=Rest()) for number in range(50))


@pytest.fixture
def table(storage_connection: str) -> Iterator[TableClient]:
    with new_table(storage_connection, "operations") as table:
        yield table


@pytest.fixture(params=["memory", "azure"])
def store(request: pytest.FixtureRequest) -> OperationStore:
    return MemoryOperations() if request.param == "memory" else AzureOperations(request.getfixturevalue("table"))


def make(number: int = 1, **changes: Any) -> Operation:
    draft = replace(make_campaign([DeviceId("a#1")]), waves=(), planning=Planning(continuation="abc", listed=7))
    operation = Operation(
        id=OperationId(f"o{number:04d}"), draft=draft, step_due_at=NOW, created_at=NOW, changed_at=NOW
    )
    return replace(operation, **changes)


def grown(operation: Operation) -> Operation:
    """An operation with as much as it may come to know."""
    draft = make_campaign([DeviceId("a#1")], waves=WAVES)
    waves = tuple(replace(wave, batches=3) for wave in slice_waves(1_000_000, WAVES))
    conflict = Conflict(device=DeviceId("d" * 128), held_by=CampaignId("c" * 21))
    return replace(
        operation,
        draft=replace(draft, waves=waves, planning=Planning(phase=PlanningPhase.CLAIMING, claimed_wave=3)),
        findings=replace(
            Findings().with_devices(2, 99, [conflict] * 30, 4).with_variants(2, [40, 20], unknown=9, unfit=30),
            heard=Hearsay(looked_at=99, gone=Named(count=30, first=(DeviceId("d" * 128),) * 10)),
        ),
        step=8,
        step_due_at=NOW + timedelta(seconds=5),
    )


def test_an_operation_is_read_back_as_it_was_written(store: OperationStore) -> None:
    store.create(make())
    assert store.get(OperationId("o0001")).value == make()


def test_a_step_is_read_back_as_it_was_written_however_large_the_draft(store: OperationStore) -> None:
    store.create(make())
    saved = store.save(replace(store.get(OperationId("o0001")), value=grown(make())))
    assert store.get(OperationId("o0001")).value == grown(make())
    store.save(replace(saved, value=replace(saved.value, state=OperationState.FAILED, reason="Grüße")))
    assert store.get(OperationId("o0001")).value.reason == "Grüße"


def test_a_write_over_somebody_elses_is_refused(store: OperationStore) -> None:
    store.create(make())
    mine = store.get(OperationId("o0001"))
    store.save(mine)
    with pytest.raises(ConcurrentChange):
        store.save(Stored(value=grown(make()), etag=mine.etag))


def test_an_id_is_taken_once(store: OperationStore) -> None:
    store.create(make())
    with pytest.raises(AlreadyExists):
        store.create(make())


def test_an_unknown_operation_is_not_there(store: OperationStore) -> None:
    with pytest.raises(NotThere):
        store.get(OperationId("nobody"))


def test_unchanged_are_those_written_by_then_for_the_last_time(store: OperationStore) -> None:
    for number in range(3):
        store.create(make(number, changed_at=NOW + timedelta(seconds=number)))
    found = list(store.list_unchanged(NOW + timedelta(seconds=1)))
    assert sorted(row.value.id for row in found) == ["o0000", "o0001"]
    assert found[0] == store.get(found[0].value.id)


def test_what_is_deleted_is_gone_and_what_changed_meanwhile_stays(store: OperationStore) -> None:
    store.create(make())
    stale = store.get(OperationId("o0001"))
    fresh = store.save(stale)
    with pytest.raises(ConcurrentChange):
        store.delete(stale)
    assert store.get(OperationId("o0001")).value == make()
    for _ in range(2):
        store.delete(fresh)
    with pytest.raises(NotThere):
        store.get(OperationId("o0001"))


def test_unfinished_are_those_with_a_step_left(store: OperationStore) -> None:
    for number, state in enumerate(OperationState):
        store.create(make(number, state=state))
    assert [operation.id for operation in store.list_unfinished()] == ["o0000"]
