"""The whole local cloud ends in the middle of a campaign and is started again over the same folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.devices import register
from tests.support.scenario import scenario_stack
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import wait_until_settled


def test_a_campaign_goes_on_after_a_restart_of_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offers are still in the twins, holds still count, devices connect as before, and what was due still comes."""
    with scenario_stack(tmp_path) as stack:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", stack.settings["REQUESTS_CA_BUNDLE"])
        scene = Scene(stack, "lasting")
        devices = scene.devices(4)
        awake, asleep = devices[:2], devices[2:]
        scene.artifacts.publish()
        register(stack.settings["IotHub"], devices)
        with scene.fleet(awake):
            held = scene.start(devices, deadlines={"offered_s": 86_400})
            scene.wait_for_states(held, dict.fromkeys(awake, "succeeded") | dict.fromkeys(asleep, "offered"))
        offers = {device: dict(scene.desired(device))["update"] for device in asleep}
        connections = {device: stack.cloud.device_connection_string(device) for device in devices}
        visits = stack.cloud.control.status()["queues"]["batch-deadlines"]["scheduled"]
        assert visits >= 1, "a sanity check: somebody will look at the silent devices"

    with scenario_stack(tmp_path) as stack:
        scene = Scene(stack, "lasting")
        try:
            assert stack.cloud.control.status()["queues"]["batch-deadlines"]["scheduled"] == visits
            assert {device: dict(scene.desired(device))["update"] for device in asleep} == offers
            assert {device: stack.cloud.device_connection_string(device) for device in devices} == connections
            other = scene.start(asleep, on_conflict="skip")
            scene.wait_for_campaign(other, "completed")
            codes = {row["device"]: (row["state"], row["code"]) for row in scene.tables.rollouts(other)}
            assert codes == dict.fromkeys(asleep, ("skipped", f"held_by:{held}"))
            with scene.fleet(asleep) as fleet:
                scene.wait_for_states(held, dict.fromkeys(devices, "succeeded"))
                shown = scene.wait_for_campaign(held, "completed")
                wait_until_settled(scene, asleep, fleet)
            assert shown["waves"][0]["counters"] == {"succeeded": 4}
            assert [row for row in scene.tables.query("devices") if row["held_by"]] == []
        finally:
            scene.close()
