"""``groundswell local core-tools`` with a real Azurite in the place of the official one, and events carried on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableServiceClient
from azure.iot.device import IoTHubDeviceClient
from azure.iot.hub import IoTHubRegistryManager
from azure.storage.blob import BlobServiceClient

from cli.core_tools import CONFIG, HUB, OFFICIAL, SAMPLE, TABLE, prepare
from emulator.eventhub.carry import Carrier, carrying
from emulator.local import LocalCloud
from shared.settings import read_settings
from tests.support.azurite import private_azurite
from tests.support.waiting import wait_until


class Sink:
    """Keeps what it gets, once it has refused as often as it was told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.events: list[Mapping[str, Any]] = []

    def send(self, events: Sequence[Mapping[str, Any]], *, partition_key: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("not yet")
        assert {event["partitionKey"] for event in events} == {partition_key}
        self.events += events


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with LocalCloud(config=CONFIG, state_dir=tmp_path_factory.mktemp("cloud")) as running:
        yield running


def report(cloud: LocalCloud, device: str, *states: str) -> None:
    """A device that reports the states, one after the other."""
    registry = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
    registry.create_device_with_sas(device, "", "", "enabled")
    client = IoTHubDeviceClient.create_from_connection_string(
        cloud.device_connection_string(device),
        server_verification_cert=Path(cloud.settings["CA_FILE"]).read_text(),
    )
    client.connect()
    for state in states:
        client.patch_twin_reported_properties({"update": {"state": state}})
    client.shutdown()


def test_the_official_storage_gets_everything_the_service_needs(cloud: LocalCloud, tmp_path: Path) -> None:
    with private_azurite() as storage:
        official = OFFICIAL | {"Storage": storage, "AzureWebJobsStorage": storage}
        settings = prepare(cloud.settings, official, tmp_path)
        wanted = json.loads(TABLE.read_text())["storage"]
        with BlobServiceClient.from_connection_string(storage) as blobs:
            assert {one.name for one in blobs.list_containers()} >= set(wanted["containers"])
            names = {blob.name for blob in blobs.get_container_client("metadata").list_blobs()}
        assert {"timestamp.json", "1.root.json"} <= names
        with TableServiceClient.from_connection_string(storage) as tables:
            assert {one.name for one in tables.list_tables()} >= set(wanted["tables"])
        # A second start finds all of it there.
        assert prepare(cloud.settings, official, tmp_path) == settings
    read_settings(settings)
    sample = json.loads(SAMPLE.read_text())["Values"]
    assert [name for name in sample if name not in settings and not sample[name].startswith("<with AUTH_MODE")] == []


def test_reports_are_carried_on_in_order_and_once_though_the_other_side_was_away(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
    sink = Sink(refusals=2)
    with carrying(cloud.settings["EventHub"], HUB, sink):
        report(cloud, "device-1", "downloading", "downloaded", "installing")
        wait_until(lambda: len(sink.events) >= 3)
    states = [json.loads(event["body"])["properties"]["reported"]["update"]["state"] for event in sink.events]
    assert states == ["downloading", "downloaded", "installing"]
    assert {event["properties"]["deviceId"] for event in sink.events} == {"device-1"}
    # Whoever carries on next begins after them.
    again = Sink()
    carrier = Carrier(cloud.settings["EventHub"], HUB, again)
    assert [carrier.carry(partition, wait_s=0) for partition in carrier.partitions()] == [0, 0, 0, 0]
    assert again.events == []
