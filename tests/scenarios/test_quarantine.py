"""Failures that cluster in one cohort hold it back, and the others are updated."""

from __future__ import annotations

from azure.iot.hub.models import Twin

from agent.fleet.behaviour import FAILS_HEALTH, OK
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables, wait_until_settled

NEWER = "3.0.0"
GATE = {"success_percent": 100, "failure_percent": None, "silent_percent": None}


def test_hardware_that_the_package_breaks_is_held_back_and_the_rest_goes_on(scene: Scene) -> None:
    devices = scene.devices(8)
    broken, fine = devices[:5], devices[5:]
    canaries = {*broken[:2], fine[0]}
    hardware = dict.fromkeys(broken, "mk2") | dict.fromkeys(fine, "mk3")
    scene.artifacts.publish()
    scene.artifacts.publish(NEWER)
    with scene.fleet(devices, hardware=hardware) as fleet:
        scene.wait_for_campaign(scene.start(devices), "completed")
        wait_until_settled(scene, devices, fleet)
    for device in canaries:
        scene.registry.update_twin(device, Twin(tags={"ring": scene.name}))

    behaviours = dict.fromkeys(broken, FAILS_HEALTH) | dict.fromkeys(fine, OK)
    with scene.fleet(behaviours, runs=NEW_VERSION, hardware=hardware) as fleet:
        campaign = scene.start(
            devices,
            version=NEWER,
            waves=[{"filter": f"tags.ring = '{scene.name}'"}, {"rest": True}],
            gate=GATE,
            quarantine={"minimum": 1, "failure_percent": 50},
        )
        shown = scene.wait_for_campaign(campaign, "completed", timeout_s=90)
        check_tables(scene, campaign, devices, fleet, version=NEWER)

    states = scene.tables.states(campaign)
    assert {device: states[device] for device in fine} == dict.fromkeys(fine, "succeeded")
    assert {device: states[device] for device in broken} == {
        device: "failed" if device in canaries else "skipped" for device in broken
    }
    assert {row["code"] for row in scene.tables.rollouts(campaign) if row["state"] == "skipped"} == {"quarantined"}
    [cohort] = shown["quarantined"]
    assert (cohort["hardware"], cohort["version"], cohort["state"]) == ("mk2", NEW_VERSION, "failed")
    assert "quarantine" in [entry["what"] for entry in scene.tables.audit(campaign)]


def test_a_quarantine_that_the_gate_would_forestall_is_refused(scene: Scene) -> None:
    answer = scene.post("campaigns", scene.request(["d"], quarantine={"minimum": 3}))
    assert answer.status_code == 400
    assert "quarantine.minimum" in answer.json()["detail"]
