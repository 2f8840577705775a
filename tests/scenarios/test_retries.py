"""Devices that failed get a further attempt, by policy or by an operator, over real twins."""

from __future__ import annotations

from agent.fleet.behaviour import OK, fails_at_first
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables


def test_a_campaign_tries_again_what_its_policy_names(scene: Scene) -> None:
    """A flaky device succeeds in its third attempt; it is counted once, and the gate never sees it fail."""
    flaky, good = devices = scene.devices(2)
    scene.artifacts.publish()
    retries = {"maximum": 2, "backoff_s": 1, "factor": 1, "codes": ["install_*"]}
    with scene.fleet({flaky: fails_at_first(2), good: OK}) as fleet:
        campaign = scene.start(devices, retries=retries)
        shown = scene.wait_for_campaign(campaign, "completed")
        assert shown["waves"][0]["counters"] == {"succeeded": 2}
        rows = {row["device"]: row for row in scene.tables.rollouts(campaign)}
        assert (rows[flaky]["attempt"], rows[good]["attempt"]) == (3, 1)
        check_tables(scene, campaign, devices, fleet)


def test_an_operator_has_failed_devices_tried_again(scene: Scene) -> None:
    """After a gate stopped: the failed device gets a further attempt once the campaign goes on."""
    flaky, good = devices = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet({flaky: fails_at_first(1), good: OK}) as fleet:
        campaign = scene.start(devices)
        scene.wait_for_campaign(campaign, "paused")
        assert [scene.act(campaign, "retry-failed").status_code for _ in range(2)] == [200, 200]
        scene.act(campaign, "resume")
        scene.wait_for_states(campaign, {flaky: "succeeded"})
        scene.wait_for_campaign(campaign, "completed")
        check_tables(scene, campaign, devices, fleet)
