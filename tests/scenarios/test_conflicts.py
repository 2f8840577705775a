"""Two campaigns over the same devices: the second waits for them, or takes them over."""

from __future__ import annotations

from agent.fleet.behaviour import OK, slow
from demo.devices import register
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until

NEWER = "3.0.0"


def test_a_campaign_waits_for_devices_until_another_lets_them_go(scene: Scene) -> None:
    """I3 over campaigns: nothing is skipped, and no device has two open offers."""
    devices = scene.devices(3)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    scene.artifacts.publish(NEWER)
    first = scene.start(devices)
    scene.wait_for_states(first, dict.fromkeys(devices, "offered"))

    second = scene.start(devices, version=NEWER, on_conflict="wait")
    scene.wait_for_campaign(second, "running")
    assert scene.show(second)["plan"]["waiting"] == len(devices)
    rows = scene.tables.rollouts(second)
    assert {(row["state"], row["code"]) for row in rows} == {("planned", f"waits_for:{first}")}
    assert {scene.desired(device)["update"]["campaign"] for device in devices} == {first}

    with scene.fleet(devices) as fleet:
        scene.wait_for_campaign(first, "completed")
        scene.wait_for_campaign(second, "completed", timeout_s=90)
        check_tables(scene, second, devices, fleet, version=NEWER)
    assert set(scene.tables.states(first).values()) == set(scene.tables.states(second).values()) == {"succeeded"}


def test_an_urgent_campaign_takes_devices_over_but_not_from_an_installation(scene: Scene) -> None:
    """The offer that waits is replaced; the device that installs ends first, and then gets the newer version."""
    absent, busy = devices = scene.devices(2)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    scene.artifacts.publish(NEWER)
    with scene.fleet({busy: slow(8.0)}):
        first = scene.start(devices)
        scene.wait_for_states(first, {absent: "offered", busy: "installing"})
        wait_until(lambda: "update" in scene.desired(absent), what="the offer in the twin")

        second = scene.start(devices, version=NEWER, on_conflict="supersede", priority=900)
        scene.wait_for_states(first, {absent: "cancelled"})
        [taken] = [row for row in scene.tables.rollouts(first) if row["device"] == absent]
        assert taken["code"] == f"superseded_by:{second}"
        wait_until(lambda: scene.desired(absent)["update"]["campaign"] == second, what="the new offer")
        assert scene.tables.states(second)[busy] == "planned"
        # It went through with what it had begun.
        scene.wait_for_states(first, {busy: "succeeded"})
        scene.wait_for_states(second, {busy: "succeeded"}, timeout_s=60)
    with scene.fleet({absent: OK}):
        scene.wait_for_states(second, {absent: "succeeded"})
    scene.wait_for_campaign(second, "completed")
    sequences = {row["device"]: row["sequence"] for row in scene.tables.query("devices") if row["device"] in devices}
    assert sequences == dict.fromkeys(devices, 2)


def test_a_precedence_that_cannot_be_is_refused(scene: Scene) -> None:
    answer = scene.post("campaigns", scene.request(["d"], on_conflict="supersede", priority=0))
    assert answer.status_code == 400
    assert "on_conflict" in answer.json()["detail"]
