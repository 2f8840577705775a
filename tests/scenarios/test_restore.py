"""What is lost with a table, and had back."""

from __future__ import annotations

from azure.data.tables import TableServiceClient

from cli.__main__ import main
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables, wait_until_settled

NEXT_VERSION = "3.0.0"


def sequences(scene: Scene, devices: list[str]) -> dict[str, int]:
    """Device to the sequence in its row."""
    rows = scene.tables.query("devices")
    return {row["device"]: int(row["sequence"]) for row in rows if row["device"] in devices}


def test_devices_take_offers_again_once_their_lost_table_is_restored(scene: Scene) -> None:
    """Without the restore they would take the next offer for a replay, as its sequence would begin anew."""
    devices = scene.devices(3)
    scene.artifacts.publish()
    scene.artifacts.publish(NEXT_VERSION)
    settings = scene.stack.settings
    with scene.fleet(devices) as fleet:
        for _ in range(2):
            # Each claim raises the sequence, the second one's devices being up to date or not.
            scene.wait_for_campaign(scene.start(devices), "completed")
            wait_until_settled(scene, devices, fleet)
        before = sequences(scene, devices)
        assert before.keys() == set(devices)

        with TableServiceClient.from_connection_string(settings["Storage"]) as tables:
            lost = tables.get_table_client("devices")
            for row in scene.tables.query("devices"):
                if row["device"] in devices:
                    lost.delete_entity(row["PartitionKey"], row["RowKey"])
        assert not sequences(scene, devices)

        assert main(["devices", "restore", "--storage", settings["Storage"], "--hub", settings["IotHub"]]) == 0
        offered = {device: int(scene.desired(device).get("update", {}).get("sequence", 0)) for device in devices}
        after = sequences(scene, devices)
        assert after.keys() == set(devices)
        assert all(after[device] >= max(1, offered[device]) for device in devices)

        campaign = scene.start(devices, version=NEXT_VERSION)
        scene.wait_for_campaign(campaign, "completed")
        check_tables(scene, campaign, devices, fleet, version=NEXT_VERSION)
    assert set(scene.tables.states(campaign).values()) == {"succeeded"}
