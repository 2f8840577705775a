"""I11: success means confirmed after the restart, and a device that goes back withdraws it."""

from __future__ import annotations

from agent.fleet.behaviour import FAILS_HEALTH, OK
from shared.domain.ids import DeviceId
from tests.support.scenario_scene import LENIENT, Scene
from tests.support.scenario_truth import check_tables


def test_a_device_that_fails_its_health_check_goes_back_and_counts_as_failed(scene: Scene) -> None:
    """I11: the new version was written and started; that is no success."""
    well, ill = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet({well: OK, ill: FAILS_HEALTH}) as fleet:
        campaign = scene.start([well, ill], gate=LENIENT)
        scene.wait_for_states(campaign, {well: "succeeded", ill: "failed"})

        check_tables(scene, campaign, [well, ill], fleet)
        assert fleet.installed(DeviceId(ill)) == {scene.name: "1.0.0"}
        row = next(row for row in scene.tables.rollouts(campaign) if row["device"] == ill)
        assert row["code"] == "health_check_failed"


def test_a_package_that_makes_devices_fail_stops_after_the_first_wave(scene: Scene) -> None:
    """I11: the failure is the package's own, and every device that took it runs its old version again."""
    devices = scene.devices(6)
    scene.artifacts.publish(fails_selftest=True)
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, waves=[{"count": 2}, {"rest": True}])
        stopped = scene.wait_for_campaign(campaign, "paused")
        scene.stack.cloud.wait_until_quiet()

        check_tables(scene, campaign, devices, fleet)
        assert [wave["state"] for wave in stopped["waves"]] == ["failed", "pending"]
        assert {fleet.installed(DeviceId(device))[scene.name] for device in devices} == {"1.0.0"}


def test_a_device_that_later_runs_the_old_version_has_regressed(scene: Scene) -> None:
    """I11: its success is withdrawn, in its row and in the counters of its wave, and its campaign pauses."""
    stays, returns = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet([stays, returns]) as fleet:
        campaign = scene.start([stays, returns])
        scene.wait_for_campaign(campaign, "completed")
        assert scene.show(campaign)["waves"][0]["counters"] == {"succeeded": 2}

        fleet.regress(DeviceId(returns))
        scene.wait_for_states(campaign, {stays: "succeeded", returns: "regressed"})

        paused = scene.wait_for_campaign(campaign, "paused")
        assert paused["waves"][0]["counters"] == {"succeeded": 1, "regressed": 1}
        assert "had let it pass" in paused["reason"]
        scene.act(campaign, "resume")
        scene.wait_for_campaign(campaign, "completed")
        check_tables(scene, campaign, [stays, returns], fleet)
