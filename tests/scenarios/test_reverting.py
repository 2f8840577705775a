"""A reverted campaign: devices that took the package install their former one again."""

from __future__ import annotations

from agent.fleet.behaviour import FAILS_HEALTH, OK
from shared.domain.ids import DeviceId
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import FACTORY_VERSION, Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until

NEWER_VERSION = "3.0.0"


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


def test_a_revert_leaves_alone_who_was_updated_since(scene: Scene) -> None:
    ahead, *others = devices = scene.devices(3)
    for version in (FACTORY_VERSION, NEW_VERSION, NEWER_VERSION):
        scene.artifacts.publish(version)
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices)
        scene.wait_for_campaign(campaign, "completed")
        scene.wait_for_campaign(scene.start([ahead], version=NEWER_VERSION), "completed")
        known = "device eq @device"
        wait_until(
            lambda: NEWER_VERSION in scene.tables.query("devices", known, device=ahead)[0]["installed"],
            what="the device's row to say what it runs",
        )
        scene.act(campaign, "revert")
        reverted = scene.wait_for_campaign(campaign, "reverted")
        assert (reverted["reversion"]["devices"], reverted["reversion"]["moved_on"]) == ({FACTORY_VERSION: 2}, 1)
        assert {fleet.installed(DeviceId(device))[scene.name] for device in others} == {FACTORY_VERSION}
        assert fleet.installed(DeviceId(ahead))[scene.name] == NEWER_VERSION


def test_a_reverting_campaign_rests_goes_on_and_is_given_up_with_its_child(scene: Scene) -> None:
    """The devices are switched off after the update, so that its child waits for them."""
    devices = scene.devices(3)
    scene.artifacts.publish(FACTORY_VERSION)
    scene.artifacts.publish()
    with scene.fleet(devices):
        campaign = scene.start(devices)
        scene.wait_for_campaign(campaign, "completed")
    scene.act(campaign, "revert")
    wait_until(lambda: scene.show(campaign)["reversion"]["campaigns"], timeout_s=60, what="the child")
    [child] = scene.show(campaign)["reversion"]["campaigns"]
    scene.wait_for_campaign(child, "running")
    wait_until(lambda: "children" in waits(scene, campaign), what="the parent looking at its child")

    assert scene.act(campaign, "pause").json()["state"] == "paused"
    paused = scene.wait_for_campaign(child, "paused")
    assert paused["reason"] == f"paused with {campaign}"
    assert waits(scene, campaign) == {"operator"}
    refused = scene.act(campaign, "retry-failed")
    assert refused.status_code == 409
    assert "these actions do: resume or cancel or force-cancel" in refused.json()["detail"]

    assert scene.act(campaign, "resume").json()["state"] == "reverting"
    scene.wait_for_campaign(child, "running")
    assert scene.act(campaign, "cancel").json()["state"] == "aborted"
    scene.wait_for_campaign(child, "aborted")
    wait_until(
        lambda: set(scene.tables.states(child).values()) == {"cancelled"}, timeout_s=60, what="offers taken back"
    )

    assert scene.act(campaign, "revert").json()["reversion"]["number"] == 2
    with scene.fleet(devices, runs=NEW_VERSION) as fleet:
        scene.wait_for_campaign(campaign, "reverted")
        assert {fleet.installed(DeviceId(device))[scene.name] for device in devices} == {FACTORY_VERSION}


def waits(scene: Scene, campaign: str) -> set[str]:
    return {wait["what"] for wait in scene.show(campaign)["waits_for"]}
