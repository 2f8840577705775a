"""Listing devices through the real IoT Hub service SDK."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from azure.iot.hub import IoTHubRegistryManager

from emulator.hub import HubConfig, Throttles
from shared.adapters.azure_directory import PAGE_DEVICES, AzureDirectory
from shared.domain.errors import DomainError
from shared.ports.errors import PortError, QuotaExceeded, Throttled, Unavailable
from tests.support.hub import LocalHub, connected, local_hub

ODD = ["a#1", "b?'2", "c%2F", "-.%_*?!(),:=@$'#"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        hub.create(*ODD, *(f"dev-{number:03d}" for number in range(PAGE_DEVICES + 5)))
        yield hub


@pytest.fixture(scope="module")
def directory(hub: LocalHub) -> AzureDirectory:
    return AzureDirectory(hub.service())


def list_all(directory: AzureDirectory, query: str) -> list[str]:
    found: list[str] = []
    continuation = ""
    while True:
        page = directory.list_page(query, continuation)
        assert len(page.items) <= PAGE_DEVICES
        found += page.items
        if not (continuation := page.continuation):
            return found


def test_all_devices_are_listed_over_several_pages_each_once(directory: AzureDirectory) -> None:
    found = list_all(directory, "SELECT * FROM devices")
    assert len(found) == len(set(found)) == PAGE_DEVICES + 9
    assert set(ODD) <= set(found)


def test_a_projection_of_ids_and_a_condition_work(directory: AzureDirectory) -> None:
    assert list_all(directory, "SELECT deviceId FROM devices WHERE deviceId = 'dev-007'") == ["dev-007"]


def test_a_query_that_hands_out_twins_tells_what_devices_say_they_are(hub: LocalHub, directory: AzureDirectory) -> None:
    said = {"dev-001": {"device": {"hardware": "mk2"}}, "dev-002": {"update": {"hardware": "mk3"}}}
    for device, reported in said.items():
        with connected(hub.device(device)) as client:
            client.patch_twin_reported_properties(reported)
    where = "FROM devices WHERE deviceId IN ['dev-001', 'dev-002', 'dev-003']"
    page = directory.list_page(f"SELECT * {where}")
    assert sorted(page.items) == ["dev-001", "dev-002", "dev-003"]
    assert page.hardware == {"dev-001": "mk2", "dev-002": "mk3"}
    assert directory.list_page(f"SELECT deviceId {where}").hardware == {}


def test_nothing_found_is_an_empty_page(directory: AzureDirectory) -> None:
    assert list_all(directory, "SELECT * FROM devices WHERE deviceId = 'nobody'") == []


@pytest.mark.parametrize("query", ["SELECT * FROM devices WHERE", "DELETE everything", "SELECT etag FROM devices"])
def test_a_query_that_lists_no_devices_is_refused_in_the_hubs_words(directory: AzureDirectory, query: str) -> None:
    with pytest.raises(DomainError, match="refuses the query") as refusal:
        directory.list_page(query)
    assert refusal.value.code == "query_refused"


def test_a_throttled_hub_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    with local_hub(tmp_path_factory.mktemp("busy"), HubConfig(throttles=Throttles.ON)) as hub:
        directory = AzureDirectory(hub.service())
        with pytest.raises(Throttled):
            for _ in range(30):
                directory.list_page("SELECT * FROM devices")


def test_a_used_up_quota_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    with local_hub(tmp_path_factory.mktemp("poor"), HubConfig(throttles=Throttles.ON, daily_messages=1)) as hub:
        directory = AzureDirectory(hub.service())
        with pytest.raises(QuotaExceeded):
            for _ in range(5):
                directory.list_page("SELECT * FROM devices")


def test_a_hub_that_is_gone_is_unavailable(hub: LocalHub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    text = hub.server.connection_string("iothubowner").replace(str(hub.server.rest_port), str(port))
    with pytest.raises(Unavailable):
        AzureDirectory(IoTHubRegistryManager.from_connection_string(text)).list_page("SELECT * FROM devices")


def test_a_wrong_key_is_no_fault_of_the_query(hub: LocalHub) -> None:
    text = hub.server.connection_string("iothubowner")
    wrong = ";".join(
        "SharedAccessKey=d3Jvbmc=" if part.startswith("SharedAccessKey=") else part for part in text.split(";")
    )
    with pytest.raises(PortError):
        AzureDirectory(IoTHubRegistryManager.from_connection_string(wrong)).list_page("SELECT * FROM devices")
