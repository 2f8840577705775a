"""A cloud process that is killed (SIGKILL) keeps what hub, queues and event hubs held until half a second before."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue

from emulator.local import LocalCloud
from tests.support.bus import receive_one, text_of
from tests.support.cloud import write_config
from tests.support.waiting import wait_until

type Row = dict[str, Any]


@contextmanager
def cloud_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    """A cloud that is killed behind the block, if it still runs then."""
    cloud = LocalCloud(config=write_config(folder), state_dir=folder / "state")
    cloud.start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
    try:
        yield cloud
    finally:
        cloud.kill()


def kept(folder: Path, part: str) -> list[Row]:
    """What the file says of a part, as a reader beside the cloud sees it."""
    with closing(sqlite3.connect(folder / "state" / "state.sqlite")) as database:
        rows = database.execute("SELECT document FROM held WHERE part = ?", (part,)).fetchall()
    return [json.loads(document) for (document,) in rows]


def wait_until_kept(folder: Path, part: str, is_there: Callable[[list[Row]], object]) -> None:
    """Return as soon as the file says so."""
    wait_until(lambda: is_there(kept(folder, part)), timeout_s=10, what=f"{part} in the file")


class Reader:
    """One consumer group of one event hub."""

    def __init__(self, cloud: LocalCloud, hub: str) -> None:
        fields = dict(part.split("=", 1) for part in cloud.settings["EventHub"].strip(";").split(";"))
        self._url = fields["Endpoint"].replace("sb://", "http://").rstrip("/") + f"/eventhubs/{hub}/partitions"
        self._headers = {"Authorization": fields["SharedAccessKey"]}

    def read(self) -> list[Row]:
        """Events of both partitions that the group has not finished."""
        return [event | {"partition": each} for each in (0, 1) for event in self._read(each)]

    def _read(self, partition: int) -> list[Row]:
        url = f"{self._url}/{partition}/events?group=g&max=100&wait=0.2"
        found: list[Row] = requests.get(url, headers=self._headers, timeout=10).json()
        return found

    def finish(self, event: Row) -> None:
        """Say that the group is done with the event."""
        url, body = f"{self._url}/{event['partition']}/checkpoint", {"group": "g"}
        done = body | {"sequenceNumber": event["sequenceNumber"]}
        requests.put(url, json=done, headers=self._headers, timeout=10).raise_for_status()


def numbered(number: int) -> Twin:
    """A change that the route ``plain`` takes."""
    return Twin(tags={"n": number}, properties=TwinProperties(desired={"plain": {"number": number}}))


def test_devices_twins_and_event_hub_offsets_outlive_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cloud_over(tmp_path, monkeypatch) as cloud:
        registry = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
        for device in ("one", "two", "gone"):
            registry.create_device_with_sas(device, "", "", "enabled")
        for number in range(3):
            registry.update_twin("one", numbered(number))
        registry.delete_device("gone")
        connection = cloud.device_connection_string("one")
        first, *others = Reader(cloud, "plain").read()
        Reader(cloud, "plain").finish(first)
        assert others
        twin = registry.get_twin("one").as_dict()
        wait_until_kept(tmp_path, "devices", lambda rows: {row["deviceId"] for row in rows} == {"one", "two"})
        wait_until_kept(tmp_path, "event hubs", lambda rows: any("g" in row.get("groups", {}) for row in rows))

    with cloud_over(tmp_path, monkeypatch) as cloud:
        registry = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
        assert registry.get_twin("one").as_dict() == twin
        assert cloud.device_connection_string("one") == connection
        assert cloud.control.status()["hub"]["devices"] == 2
        assert Reader(cloud, "plain").read() == others
        registry.update_twin("one", numbered(9))
        after = [event for event in Reader(cloud, "plain").read() if event not in others]
        assert [event["sequenceNumber"] for event in after] == [
            1 + max(each["sequenceNumber"] for each in (first, *others) if each["partition"] == after[0]["partition"])
        ]


def test_messages_sessions_schedules_and_locks_outlive_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    due = datetime.now(UTC) + timedelta(seconds=12)
    with cloud_over(tmp_path, monkeypatch) as cloud:
        client = ServiceBusClient.from_connection_string(cloud.settings["ServiceBus"], retry_total=0)
        with client.get_queue_sender("singles") as sender:
            sender.send_messages([ServiceBusMessage(text) for text in ("dead", "done", "locked", "waits")])
            sender.schedule_messages([ServiceBusMessage("later", message_id="l-1")], due)
        receiver = client.get_queue_receiver("singles")
        receiver.dead_letter_message(receive_one(receiver), reason="unreadable")
        receiver.complete_message(receive_one(receiver))
        assert text_of(receive_one(receiver)) == "locked"
        with client.get_queue_sender("sessions") as sender:
            sender.send_messages(ServiceBusMessage("s", session_id="one"))
        with client.get_queue_receiver("sessions", session_id="one") as session:
            session.session.set_state(b"half way")
            assert text_of(receive_one(session)) == "s"
            wait_until_kept(tmp_path, "queues", lambda rows: any(row.get("session") == "one" for row in rows))
            wait_until_kept(tmp_path, "queues", lambda rows: sum("content" in row for row in rows) == 5)
            cloud.kill()

    with cloud_over(tmp_path, monkeypatch) as cloud:
        client = ServiceBusClient.from_connection_string(cloud.settings["ServiceBus"])
        counts = cloud.control.status()["queues"]["singles"]
        assert (counts["active"], counts["scheduled"], counts["dead_letter"]) == (2, 1, 1)
        with client.get_queue_receiver("singles", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
            assert text_of(receive_one(receiver)) == "dead"
        with client.get_queue_receiver("singles") as receiver:
            found = []
            while len(found) < 3:
                found.append(receive_one(receiver, wait_s=20))
                receiver.complete_message(found[-1])
            assert [text_of(message) for message in found] == ["locked", "waits", "later"]
            assert found[2].message_id == "l-1"
            assert datetime.now(UTC) >= due - timedelta(seconds=0.1)
        with client.get_queue_receiver("sessions", session_id="one") as session:
            assert session.session.get_state() == b"half way"
            assert text_of(receive_one(session)) == "s"
        client.close()


def test_whenever_it_is_killed_the_file_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed again and again in the middle of writing: what is there is what was, at most an interval before."""
    kept_n = 0
    for _ in range(3):
        with cloud_over(tmp_path, monkeypatch) as cloud:
            registry = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
            if not kept_n:
                registry.create_device_with_sas("busy", "", "", "enabled")
            else:
                assert registry.get_twin("busy").tags == {"n": kept_n}
            written = [(kept_n, 0.0)]
            thread = threading.Thread(target=write_for_ever, args=(registry, written), daemon=True)
            thread.start()
            wait_until_kept(tmp_path, "devices", partial(says_more_than, kept_n + 20))
            killed_at = time.monotonic()
            cloud.kill()
            thread.join(30)
            assert not thread.is_alive()
        [row] = kept(tmp_path, "devices")
        kept_n = row["twin"]["tags"]["values"]["n"]
        long_before = [n for n, at in written if at < killed_at - 2]
        assert max(long_before, default=0) <= kept_n <= written[-1][0] + 1


def says_more_than(number: int, rows: list[Row]) -> bool:
    """Whether the twin in the file has come as far."""
    return bool(rows) and rows[0]["twin"]["tags"]["values"].get("n", 0) > number


def write_for_ever(registry: IoTHubRegistryManager, written: list[tuple[int, float]]) -> None:
    """Write the twin, higher each time, until nobody answers; what was answered, and when, is noted."""
    registry.protocol.config.retry_policy.retries = 0
    with suppress(Exception):
        while True:
            number = written[-1][0] + 1
            registry.update_twin("busy", Twin(tags={"n": number}))
            written.append((number, time.monotonic()))
