"""I8: every state has a deadline, waiting for an offline device included, and silence is its own outcome."""

from __future__ import annotations

from agent.fleet.behaviour import OK, SILENT, offline_until, slow
from shared.domain.ids import DeviceId
from tests.support.scenario_scene import LENIENT, Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until


def test_devices_that_say_nothing_time_out_and_stop_the_campaign_by_a_gate_of_their_own(scene: Scene) -> None:
    """I8: one device ignores its offer, one is offline; neither has failed."""
    devices = scene.devices(5)
    mute, absent = devices[3:]
    behaviours = dict.fromkeys(devices, OK) | {mute: SILENT, absent: offline_until("dawn")}
    gate = {"success_percent": 100, "failure_percent": 0, "silent_percent": 30}
    scene.artifacts.publish()
    with scene.fleet(behaviours) as fleet:
        campaign = scene.start(devices, gate=gate, deadlines={"offered_s": 2})
        stopped = scene.wait_for_campaign(campaign, "paused")

        assert "2 of 5 devices stayed silent" in stopped["reason"]
        assert stopped["waves"][0]["counters"] == {"succeeded": 3, "timed_out": 2}
        check_tables(scene, campaign, devices, fleet)

        fleet.occur("dawn")
        wait_until(lambda: _is_connected(scene, absent), what=f"{absent} to come back")
        scene.stack.cloud.wait_until_quiet()
        # Its offer is over: whoever still holds the ticket gets nothing for it.
        check_tables(scene, campaign, devices, fleet)
        assert fleet.installed(DeviceId(absent)) == {scene.name: "1.0.0"}


def test_a_device_that_reports_after_its_deadline_corrects_its_row(scene: Scene) -> None:
    """I8: it installs for longer than it may, times out, and succeeds all the same."""
    prompt, late = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet({prompt: OK, late: slow(5.0)}) as fleet:
        deadlines = {"offered_s": 60, "downloading_s": 60, "installing_s": 1, "restarting_s": 60}
        campaign = scene.start([prompt, late], gate=LENIENT, deadlines=deadlines)
        scene.wait_for_states(campaign, {prompt: "succeeded", late: "timed_out"})
        check_tables(scene, campaign, [prompt, late], fleet)

        scene.wait_for_states(campaign, {late: "succeeded"})

        check_tables(scene, campaign, [prompt, late], fleet)
        assert scene.show(campaign)["waves"][0]["counters"] == {"succeeded": 2}


def _is_connected(scene: Scene, device: str) -> bool:
    return bool(scene.registry.get_device(device).connection_state == "Connected")
