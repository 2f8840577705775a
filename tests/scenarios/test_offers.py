"""I2: no device is offered what is not in the signed index, and none installs what does not fit it."""

from __future__ import annotations

from shared.domain.ids import DeviceId
from tests.support.scenario import functions_told
from tests.support.scenario_artifacts import image
from tests.support.scenario_scene import HARDWARE, LENIENT, Scene
from tests.support.scenario_truth import check_tables


def test_a_package_that_is_claimed_but_not_in_the_index_cannot_be_rolled_out(scene: Scene) -> None:
    """I2: the name is taken as soon as the artifact is accepted, but only what the index signs is offered."""
    body = scene.request(scene.devices(1))
    with functions_told(scene.stack, {"AzureWebJobs.on_index_requested.Disabled": "true"}):
        scene.artifacts.drop(image(scene.name, "2.0.0"))
        scene.artifacts.wait_for_package(state="accepted")
        refused = scene.post("campaigns", body)

    assert (refused.status_code, refused.json()["code"]) == (404, "package_not_found")
    scene.artifacts.wait_for_package()
    assert scene.post("campaigns", body).status_code == 201


def test_a_device_whose_hardware_does_not_fit_rejects_the_package(scene: Scene) -> None:
    """I2: the device itself judges what the index says a package is for."""
    fits, other = scene.devices(2)
    scene.artifacts.publish(hardware=[HARDWARE])
    with scene.fleet([fits, other], hardware={other: "mk1"}) as fleet:
        campaign = scene.start([fits, other], gate=LENIENT)
        scene.wait_for_states(campaign, {fits: "succeeded", other: "rejected"})

        check_tables(scene, campaign, [fits, other], fleet)
        rejected = next(row for row in scene.tables.rollouts(campaign) if row["device"] == other)
        assert rejected["code"] == "incompatible"
        assert fleet.installed(DeviceId(other)) == {scene.name: "1.0.0"}


def test_a_lower_version_needs_a_signed_override(scene: Scene) -> None:
    """I2: the permission to go back stands in the intent, not in the offer around it."""
    devices = scene.devices(2)
    scene.artifacts.publish("2.0.0")
    with scene.fleet(devices, runs="3.0.0") as fleet:
        forbidden = scene.start(devices, gate=LENIENT)
        scene.wait_for_states(forbidden, dict.fromkeys(devices, "rejected"))
        assert {row["code"] for row in scene.tables.rollouts(forbidden)} == {"downgrade_refused"}
        check_tables(scene, forbidden, devices, fleet)

        allowed = scene.start(devices, allow_downgrade=True)
        scene.wait_for_campaign(allowed, "completed")
        check_tables(scene, allowed, devices, fleet)
        assert set(scene.tables.states(allowed).values()) == {"succeeded"}
