"""Two campaigns over the same devices: the first holds them until it lets go."""

from __future__ import annotations

from demo.devices import register
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until


def test_devices_that_a_running_campaign_holds_are_skipped_and_free_again_afterwards(scene: Scene) -> None:
    """I3 over campaigns: a device has one open offer at most, and the plan says who has it."""
    devices = scene.devices(5)
    shared = devices[2:4]
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    first = scene.start(devices[:4])
    scene.wait_for_states(first, dict.fromkeys(devices[:4], "offered"))

    second = scene.start(devices[2:])
    scene.wait_for_states(second, dict.fromkeys(shared, "skipped") | {devices[4]: "offered"})

    wait_until(lambda: any("sent_at" in row for row in scene.tables.rollouts(second)), what="an offer")
    rows = scene.tables.rollouts(second)
    skipped = [row for row in rows if row["device"] in shared]
    assert {row["code"] for row in skipped} == {f"held_by:{first}"}
    assert scene.show(second)["plan"]["skipped"] == len(shared)
    # The plan was complete before the first offer went out.
    assert max(row["changed_at"] for row in skipped) <= min(row["sent_at"] for row in rows if "sent_at" in row)

    scene.act(first, "cancel")
    scene.wait_for_states(first, dict.fromkeys(devices[:4], "cancelled"))
    third = scene.start(shared)
    with scene.fleet(devices) as fleet:
        scene.wait_for_campaign(third, "completed")
        check_tables(scene, third, shared, fleet)
        assert set(scene.tables.states(third).values()) == {"succeeded"}
        scene.wait_for_campaign(second, "completed")
