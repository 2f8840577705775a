"""What hub and bus know outlives the cloud process, as it does in Azure: real SDKs before and after."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import IoTHubDeviceClient
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusSubQueue

from cli.own_device import register
from emulator.child import ChildFailedError
from emulator.local import LocalCloud
from tests.support.bus import receive_one, text_of
from tests.support.cloud import write_config

ODD = "o'hare:hall(2)#7"


@contextmanager
def running(folder: Path) -> Iterator[LocalCloud]:
    with LocalCloud(config=write_config(folder), state_dir=folder / "state") as cloud:
        yield cloud


@contextmanager
def connected(cloud: LocalCloud, connection: str) -> Iterator[IoTHubDeviceClient]:
    ca = Path(cloud.settings["CA_FILE"]).read_text()
    device = IoTHubDeviceClient.create_from_connection_string(connection, server_verification_cert=ca)
    device.connect()
    try:
        yield device
    finally:
        device.shutdown()


def documents(registry: IoTHubRegistryManager, device_id: str) -> dict[str, Any]:
    """Identity and twin, without what a connection changes."""
    identity, twin = registry.get_device(device_id).as_dict(), registry.get_twin(device_id).as_dict()
    passing = ("connection_state", "connection_state_updated_time", "last_activity_time")
    return {
        "identity": {key: value for key, value in identity.items() if key not in passing},
        "twin": {key: value for key, value in twin.items() if key not in passing},
    }


def test_devices_and_twins_are_there_again_and_connect_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as cloud:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
        registry = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
        for device_id, status in ((ODD, "enabled"), ("off", "disabled"), ("gone", "enabled")):
            registry.create_device_with_sas(device_id, "", "", status)
        registry.delete_device("gone")
        registry.update_twin(ODD, Twin(tags={"site": "north"}, properties=TwinProperties(desired={"a": {"b": 1}})))
        connection = cloud.device_connection_string(ODD)
        with connected(cloud, connection) as device:
            device.patch_twin_reported_properties({"update": {"state": "downloading"}, "n": None})
        before = {device_id: documents(registry, device_id) for device_id in (ODD, "off")}

    with running(tmp_path) as cloud:
        registry = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
        assert {device_id: documents(registry, device_id) for device_id in (ODD, "off")} == before
        assert cloud.control.status()["hub"]["devices"] == 2
        with connected(cloud, connection) as device:
            twin = device.get_twin()
            assert twin["desired"] == {"a": {"b": 1}, "$version": 2}
            assert twin["reported"] == {"update": {"state": "downloading"}, "$version": 2}
            device.patch_twin_reported_properties({"update": {"state": "downloaded"}})
            assert device.get_twin()["reported"]["$version"] == 3
        registry.create_device_with_sas("new", "", "", "enabled")
        generations = [registry.get_device(each).generation_id for each in (ODD, "off", "new")]
        assert generations == sorted(set(generations))
        register(cloud.settings, ODD)
        assert cloud.device_connection_string(ODD) == connection, "registered once more it keeps its keys and its twin"
        assert registry.get_twin(ODD).tags == {"site": "north"}


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_messages_are_there_again_whatever_they_waited_for(tmp_path: Path) -> None:
    due = soon(4)
    with running(tmp_path) as cloud, ServiceBusClient.from_connection_string(cloud.settings["ServiceBus"]) as client:
        with client.get_queue_sender("singles") as sender:
            sender.send_messages([ServiceBusMessage(text, application_properties={"n": 7}) for text in "abc"])
            sender.schedule_messages([ServiceBusMessage("later", message_id="l-1")], due)
        with client.get_queue_receiver("singles") as receiver:
            first = receive_one(receiver)
            receiver.dead_letter_message(first, reason="unreadable", error_description="why")
            second = receive_one(receiver)
            receiver.abandon_message(second)
            held = receive_one(receiver)
            assert text_of(held) == "b"
        with client.get_queue_sender("sessions") as sender:
            sender.send_messages(ServiceBusMessage("s", session_id="one"))
    with running(tmp_path) as cloud, ServiceBusClient.from_connection_string(cloud.settings["ServiceBus"]) as client:
        with client.get_queue_receiver("singles", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
            dead = receive_one(receiver)
            assert (text_of(dead), dead.dead_letter_reason, dead.sequence_number) == (
                "a",
                "unreadable",
                first.sequence_number,
            )
        with client.get_queue_receiver("singles") as receiver:
            found: list[ServiceBusReceivedMessage] = []
            while len(found) < 3:
                found.append(receive_one(receiver, wait_s=10))
                receiver.complete_message(found[-1])
            assert [text_of(message) for message in found] == ["b", "c", "later"]
            assert found[0].delivery_count >= 1
            assert found[1].application_properties == {b"n": 7}
            assert found[2].message_id == "l-1"
            assert found[2].enqueued_time_utc is not None
            assert found[2].enqueued_time_utc >= due - timedelta(seconds=0.1)
        with client.get_queue_receiver("sessions", session_id="one") as receiver:
            assert text_of(receive_one(receiver)) == "s"
        with client.get_queue_sender("singles") as sender:
            sender.send_messages(ServiceBusMessage("new"))
        with client.get_queue_receiver("singles") as receiver:
            number = receive_one(receiver).sequence_number
            assert number is not None
            assert found[2].sequence_number is not None
            assert number > found[2].sequence_number


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with running(tmp_path):
        pass
    state = tmp_path / "state/state.sqlite"
    assert state.stat().st_mode & 0o077 == 0, "it holds keys"
    complaint = r"state\.sqlite cannot be used .*; remove it to start without it"
    with closing(sqlite3.connect(state)) as database, database:
        database.execute("INSERT INTO held VALUES ('devices', 'odd', '{}')")
    with pytest.raises(ChildFailedError, match=complaint), running(tmp_path):
        pass
    state.write_bytes(b"no database, but long enough to be taken for one" * 100)
    with pytest.raises(ChildFailedError, match=complaint), running(tmp_path):
        pass
    state.unlink()
    with running(tmp_path) as cloud:
        assert cloud.control.status()["hub"]["devices"] == 0
