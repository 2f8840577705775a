"""I6: offers stay within the hub's budget, and a hub that throttles makes campaigns slower, never wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from azure.data.tables import TableClient
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import ExportImportDevice
from msrest.exceptions import HttpOperationError

from demo.devices import register
from shared.domain.pacing import CHARGE_PER_DEVICE
from tests.support.scenario import functions_told
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until

S1_UPDATES_PER_S = 50
DEVICES = 50
RATE = "PartitionKey eq 'budget'"
MORE_THAN_A_BATCH = 130
GREED = 40
"""Twin updates that the other backend asks for at once, again and again."""


@contextmanager
def greedy_backend(scene: Scene) -> Iterator[threading.Event]:
    """Another program that writes as many twins of the hub as it can, until the event is set."""
    others = [f"{scene.name}-other-{number}" for number in range(GREED)]
    register(scene.stack.settings["IotHub"], others)
    ended = threading.Event()

    def write() -> None:
        registry = IoTHubRegistryManager.from_connection_string(scene.stack.settings["IotHub"])
        entries = [ExportImportDevice(id=device, import_mode="updateTwin", tags={"n": 1}) for device in others]
        while not ended.wait(0.1):
            try:
                registry.bulk_create_or_update_devices(entries)
            except HttpOperationError as refusal:
                assert refusal.response.status_code == 429

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield ended
    finally:
        ended.set()
        thread.join()


def test_two_campaigns_share_a_throttled_hub_and_both_end_well(scene: Scene) -> None:
    """I6: the hub refuses writes of ours, because somebody else uses it too; nothing is lost by it."""
    devices = scene.devices(DEVICES)
    ours, theirs = devices[: DEVICES // 2], devices[DEVICES // 2 :]
    scene.artifacts.publish()
    rates: list[float] = []
    with functions_told(scene.stack, {"HUB_TIER": "S1"}), scene.fleet(devices) as fleet:
        scene.stack.cloud.control.set_throttle("on")
        with greedy_backend(scene) as ended:
            first, second = scene.start(ours), scene.start(theirs)

            def watch() -> None:
                rates.extend(row["rate_per_s"] for row in scene.tables.query("budget", RATE))
                if min(rates) < S1_UPDATES_PER_S:
                    ended.set()

            scene.wait_for_campaign(first, "completed", meanwhile=watch)
        scene.wait_for_campaign(second, "completed", timeout_s=60)
        check_tables(scene, first, ours, fleet)
        check_tables(scene, second, theirs, fleet)

    assert scene.stack.cloud.control.status()["hub"]["throttled"]["TwinUpdate"] > 0
    assert min(rates) < S1_UPDATES_PER_S, "a refusal lowers the rate for everybody"
    for campaign in (first, second):
        assert set(scene.tables.states(campaign).values()) == {"succeeded"}
    check_spacing(scene, first, second)
    restore_rate(scene)


def test_devices_that_come_free_all_at_once_are_offered_at_the_hubs_pace(scene: Scene) -> None:
    """I6: a campaign waits for devices of another one, and that one is cancelled; what it leaves are two batches."""
    devices = scene.devices(MORE_THAN_A_BATCH)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    scene.artifacts.publish("3.0.0")
    with functions_told(scene.stack, {"HUB_TIER": "S1"}):
        first = scene.start(devices)
        scene.wait_for_states(first, dict.fromkeys(devices, "offered"), timeout_s=60)
        second = scene.start(devices, version="3.0.0", on_conflict="wait")
        scene.wait_for_campaign(second, "running")
        assert set(scene.tables.states(second).values()) == {"planned"}
        assert scene.act(first, "cancel").status_code == 200
        wait_until(lambda: all(sent_at(scene, second).values()), timeout_s=120, what="all offers")
    assert set(scene.tables.states(first).values()) == {"cancelled"}
    assert {scene.desired(device)["update"]["campaign"] for device in devices} == {second}

    sent = sent_at(scene, second)
    batches = {row["device"]: row["batch"] for row in scene.tables.rollouts(second)}
    [(begun, earlier), (later, _)] = sorted(
        (min(at for device, at in sent.items() if at and batches[device] == batch), batch)
        for batch in set(batches.values())
    )
    size = list(batches.values()).count(earlier)
    # A message may come a little after its slot, and the clock of a slot has whole seconds.
    assert later - begun >= timedelta(seconds=size * CHARGE_PER_DEVICE / S1_UPDATES_PER_S - 2)


def sent_at(scene: Scene, campaign: str) -> dict[str, datetime | None]:
    """When each device's offer was written; None where it was not."""
    return {row["device"]: row.get("sent_at") for row in scene.tables.rollouts(campaign)}


def check_spacing(scene: Scene, first: str, second: str) -> None:
    """The later campaign was charged for its own devices only after the earlier one's, reports included."""
    charged = timedelta(seconds=DEVICES / 2 * CHARGE_PER_DEVICE / S1_UPDATES_PER_S)
    earlier, later = sorted((first, second), key=lambda campaign: first_offer(scene, campaign))
    started = datetime.fromisoformat(scene.show(earlier)["waves"][0]["started_at"])
    assert first_offer(scene, later) >= started + charged


def first_offer(scene: Scene, campaign: str) -> datetime:
    """When the first offer of a campaign was written."""
    sent: list[datetime] = [row["sent_at"] for row in scene.tables.rollouts(campaign)]
    return min(sent)


def restore_rate(scene: Scene) -> None:
    """Forget the rate that the throttled hub taught, for the scenarios to come."""
    with TableClient.from_connection_string(scene.stack.settings["Storage"], "budget") as table:
        for row in table.query_entities(RATE):
            table.delete_entity(row["PartitionKey"], row["RowKey"])
