"""What every store of the emergency stop does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from azure.data.tables import TableClient, TableServiceClient

from shared.adapters.azure_stops import AzureStops
from shared.domain.stops import FleetStop, release, stop
from shared.ports.errors import ConcurrentChange, Unavailable
from shared.ports.stops import StopStore
from shared.ports.stored import Stored
from tests.support.memory_campaigns import MemoryStops
from tests.support.tables import new_table

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)
STOPPED = stop(FleetStop(), "smoke in Lübeck", who="ada", now=NOW)


@pytest.fixture
def table(storage_connection: str) -> Iterator[TableClient]:
    with new_table(storage_connection, "budget") as table:
        yield table


@pytest.fixture(params=["memory", "azure"])
def store(request: pytest.FixtureRequest) -> StopStore:
    if request.param == "memory":
        return MemoryStops()
    return AzureStops(request.getfixturevalue("table"), hub="hub.example")


def test_a_fleet_that_nobody_ever_stopped_is_not_stopped(store: StopStore) -> None:
    assert store.get() == Stored(value=FleetStop(), etag="")


def test_a_stop_and_its_release_are_read_back_as_they_were_written(store: StopStore) -> None:
    for state in (STOPPED, release(STOPPED, who="grace", now=NOW)):
        store.save(Stored(value=state, etag=store.get().etag))
        assert store.get().value == state


def test_a_write_over_somebody_elses_is_refused(store: StopStore) -> None:
    fresh = store.get()
    store.save(Stored(value=STOPPED, etag=fresh.etag))
    with pytest.raises(ConcurrentChange):
        store.save(Stored(value=STOPPED, etag=fresh.etag))
    first = store.get()
    store.save(first)
    with pytest.raises(ConcurrentChange):
        store.save(first)


def test_each_hub_has_its_own_stop(table: TableClient) -> None:
    AzureStops(table, hub="one").save(Stored(value=STOPPED, etag=""))
    assert not AzureStops(table, hub="two").get().value.stands


def test_a_table_that_is_missing_says_nothing_about_the_fleet(storage_connection: str) -> None:
    """Taken for a fleet that goes on, it would make the stop worthless."""
    with TableServiceClient.from_connection_string(storage_connection) as service:
        missing = AzureStops(service.get_table_client("nosuchtable"), hub="one")
        with pytest.raises(Unavailable):
            missing.get()
