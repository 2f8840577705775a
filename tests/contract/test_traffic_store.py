"""What every store of promised bandwidth does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables import TableClient

from shared.adapters.azure_traffic import AzureTraffic
from shared.domain.ids import DeviceId
from shared.domain.pacing import LONG_AGO
from shared.handlers.meter_downloads import DownloadMeter
from shared.ports.errors import ConcurrentChange
from shared.ports.stored import Stored
from shared.ports.traffic import TrafficStore
from tests.support.made_campaigns import make_campaign
from tests.support.memory_campaigns import MemoryTraffic
from tests.support.tables import new_table

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)


@pytest.fixture
def table(storage_connection: str) -> Iterator[TableClient]:
    with new_table(storage_connection, "budget") as table:
        yield table


@pytest.fixture(params=["memory", "azure"])
def store(request: pytest.FixtureRequest) -> TrafficStore:
    if request.param == "memory":
        return MemoryTraffic()
    return AzureTraffic(request.getfixturevalue("table"), hub="hub.example")


def test_what_nobody_ever_used_is_free(store: TrafficStore) -> None:
    assert store.get("fleet") == Stored(value=LONG_AGO, etag="")


def test_each_scope_is_read_back_as_it_was_written(store: TrafficStore) -> None:
    store.save("fleet", Stored(value=NOW, etag=""))
    store.save("fleet", Stored(value=NOW.replace(hour=7), etag=store.get("fleet").etag))
    assert store.get("fleet").value == NOW.replace(hour=7)
    assert store.get("spring-fix").value == LONG_AGO


def test_a_write_over_somebody_elses_is_refused(store: TrafficStore) -> None:
    store.save("fleet", Stored(value=NOW, etag=""))
    with pytest.raises(ConcurrentChange):
        store.save("fleet", Stored(value=NOW, etag=""))
    row = store.get("fleet")
    store.save("fleet", row)
    with pytest.raises(ConcurrentChange):
        store.save("fleet", row)


def test_each_hub_has_its_own(table: TableClient) -> None:
    AzureTraffic(table, hub="one").save("fleet", Stored(value=NOW, etag=""))
    assert AzureTraffic(table, hub="two").get("fleet").value == LONG_AGO


def test_instances_that_hand_out_at_once_stay_within_the_bandwidth_together(store: TrafficStore) -> None:
    """I6: one second's worth is promised at one moment, whoever asks for it first."""
    meters = [DownloadMeter(store, fleet_bytes_per_s=4096) for _ in range(4)]
    campaign = make_campaign([DeviceId("gw-1")])
    assert campaign.package.length_bytes == 4096

    def ask(number: int) -> bool:
        return meters[number % 4].admit(campaign, 4096, now=NOW) is None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(24))) == 1
    assert store.get("fleet").value == NOW + timedelta(seconds=1)
