"""Twin changes through a hub route into the Event Hub trigger, with the real service SDK as the source."""

import uuid
from typing import Any

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties

from emulator.local import LocalCloud
from tests.support.cloud import Entry, Journal
from tests.support.waiting import wait_until


class Registry:
    """Writes desired properties, each of which becomes one twin event."""

    def __init__(self, cloud: LocalCloud, monkeypatch: Any) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
        self._manager = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])

    def create_device(self) -> str:
        device_id = f"device-{uuid.uuid4()}"
        self._manager.create_device_with_sas(device_id, "", "", "enabled")
        return device_id

    def delete_device(self, device_id: str) -> None:
        self._manager.delete_device(device_id)

    def change(self, device_id: str, route: str, **command: Any) -> None:
        twin = Twin(properties=TwinProperties(desired={route: command}))
        self._manager.update_twin(device_id, twin)


def changes_of(entries: list[Entry], device_id: str) -> list[Any]:
    pairs = [pair for entry in entries for pair in zip(entry["devices"], entry["changes"], strict=True)]
    return [change for device, change in pairs if device == device_id]


def test_changes_of_a_device_arrive_in_order_with_their_properties(
    cloud: LocalCloud, journal: Journal, monkeypatch: Any
) -> None:
    registry = Registry(cloud, monkeypatch)
    device = registry.create_device()
    for number in range(10):
        registry.change(device, "plain", number=number)
    registry.change(device, "retried", number=99)  # matches the other route only
    wait_until(lambda: len(changes_of(journal.entries("on_plain_events"), device)) == 10)
    seen = journal.entries("on_plain_events", lambda entry: device in entry["devices"])
    assert [change["number"] for change in changes_of(seen, device)] == list(range(10))
    assert seen[0]["properties"][seen[0]["devices"].index(device)]["deviceId"] == device
    assert seen[0]["properties"][0]["opType"] == "updateTwin"


def test_the_pointer_moves_on_after_a_failure_without_retry(
    cloud: LocalCloud, journal: Journal, monkeypatch: Any
) -> None:
    registry = Registry(cloud, monkeypatch)
    device = registry.create_device()
    registry.change(device, "plain", fail="this batch is lost")
    journal.wait_for("on_plain_events", lambda entry: device in entry["devices"])
    registry.change(device, "plain", number=2, fail=None)
    wait_until(lambda: len(changes_of(journal.entries("on_plain_events"), device)) == 2)
    cloud.wait_until_quiet()
    fails = [bool(change.get("fail")) for change in changes_of(journal.entries("on_plain_events"), device)]
    assert fails == [True, False], "the failed batch does not come again"


def test_a_retry_policy_is_applied_before_the_pointer_moves(
    cloud: LocalCloud, journal: Journal, monkeypatch: Any
) -> None:
    registry = Registry(cloud, monkeypatch)
    device, mark = registry.create_device(), str(uuid.uuid4())

    def seen() -> list[Entry]:
        return journal.entries("on_retried_events", lambda e: any(c.get("mark") == mark for c in e["changes"]))

    registry.change(device, "retried", mark=mark, fail_times=2)
    wait_until(lambda: len(seen()) == 3)
    assert [entry["retry"] for entry in seen()] == [0, 1, 2]
    assert seen()[1]["at"] - seen()[0]["at"] >= 0.9


def test_retries_end_at_the_policys_count(cloud: LocalCloud, journal: Journal, monkeypatch: Any) -> None:
    registry = Registry(cloud, monkeypatch)
    device, mark = registry.create_device(), str(uuid.uuid4())

    def seen() -> list[Entry]:
        return journal.entries("on_retried_events", lambda e: any(c.get("mark") == mark for c in e["changes"]))

    registry.change(device, "retried", mark=mark, fail_times=99)
    wait_until(lambda: len(seen()) == 3)
    cloud.wait_until_quiet()
    assert len(seen()) == 3


def test_a_killed_host_repeats_the_batch_it_held(cloud: LocalCloud, journal: Journal, monkeypatch: Any) -> None:
    registry = Registry(cloud, monkeypatch)
    device = registry.create_device()
    registry.change(device, "plain", sleep_s=2)
    journal.wait_for("on_plain_events", lambda entry: device in entry["devices"])
    cloud.kill_functions()
    cloud.restart_functions()
    journal.wait_for("on_plain_events", lambda entry: device in entry["devices"], count=2)
    cloud.wait_until_quiet()


def test_a_devices_life_reaches_the_system_topic(cloud: LocalCloud, journal: Journal, monkeypatch: Any) -> None:
    registry = Registry(cloud, monkeypatch)
    device = registry.create_device()

    def of_device(entry: Entry) -> bool:
        return bool(entry["subject"] == f"devices/{device}")

    (created,) = journal.wait_for("on_grid_event", of_device)
    assert created["type"] == "Microsoft.Devices.DeviceCreated"
    assert created["data"]["deviceId"] == device
    assert created["data"]["hubName"] == "local-hub"
    assert created["data"]["twin"]["deviceId"] == device
    registry.delete_device(device)
    seen = journal.wait_for("on_grid_event", of_device, count=2)
    assert seen[1]["type"] == "Microsoft.Devices.DeviceDeleted"


def test_faults_spoil_twin_events(cloud: LocalCloud, journal: Journal, monkeypatch: Any) -> None:
    registry = Registry(cloud, monkeypatch)
    device = registry.create_device()
    for kind in ("drop", "duplicate"):
        cloud.faults.set(kind, count=1, seed=1)
    for number in range(3):
        registry.change(device, "plain", number=number)
    cloud.faults.set("merge", count=1, hold_s=5)
    registry.change(device, "plain", number=3)
    registry.change(device, "plain", number=4, late=True)
    cloud.faults.clear()
    cloud.wait_until_quiet()
    numbers = [change["number"] for change in changes_of(journal.entries("on_plain_events"), device)]
    assert numbers == [1, 1, 2, 4]
