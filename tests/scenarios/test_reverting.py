"""A reverted campaign: devices that took the package install their former one again."""

from __future__ import annotations

from agent.fleet.behaviour import FAILS_HEALTH, OK
from shared.domain.ids import DeviceId
from tests.support.scenario_scene import FACTORY_VERSION, Scene
from tests.support.scenario_truth import check_tables


def test_an_operator_reverts_a_completed_campaign(scene: Scene) -> None:
    devices = scene.devices(3)
    scene.artifacts.publish(FACTORY_VERSION)
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices)
        scene.wait_for_campaign(campaign, "completed")
        assert [scene.act(campaign, "revert").status_code for _ in range(2)] == [200, 200]
        reverted = scene.wait_for_campaign(campaign, "reverted")
        [child] = {each["id"] for each in scene.campaigns() if each["requested_by"] == f"revert of {campaign}"}
        assert reverted["reason"] == f"{child} ({FACTORY_VERSION}) is completed"
        assert {fleet.installed(DeviceId(device))[scene.name] for device in devices} == {FACTORY_VERSION}
        check_tables(scene, child, devices, fleet, version=FACTORY_VERSION)


def test_a_gate_reverts_what_it_stops(scene: Scene) -> None:
    """The one that failed rolled back by itself; the others go back because the gate said so."""
    bad, *good = devices = scene.devices(3)
    scene.artifacts.publish(FACTORY_VERSION)
    scene.artifacts.publish()
    gate = {"on_stop": "revert", "minimum_completed": 3}
    with scene.fleet({bad: FAILS_HEALTH, **dict.fromkeys(good, OK)}) as fleet:
        campaign = scene.start(devices, gate=gate)
        scene.wait_for_campaign(campaign, "reverted")
        assert scene.tables.states(campaign) == {bad: "failed", **dict.fromkeys(good, "succeeded")}
        assert {fleet.installed(DeviceId(device))[scene.name] for device in devices} == {FACTORY_VERSION}
