"""I6: offers stay within the hub's budget, and a hub that throttles makes a campaign slower, never wrong."""

from __future__ import annotations

from shared.domain.pacing import CHARGE_PER_DEVICE
from tests.support.scenario import functions_told
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables

S1_UPDATES_PER_S = 50
FULL_BATCH = 99


def test_a_throttled_hub_makes_a_campaign_slower_and_not_wrong(scene: Scene) -> None:
    """I6: a batch is larger than what an S1 hub takes at once, and the devices' reports share its throttle."""
    devices = scene.devices(FULL_BATCH + 1)
    scene.artifacts.publish()
    with functions_told(scene.stack, {"HUB_TIER": "S1"}), scene.fleet(devices) as fleet:
        scene.stack.cloud.control.set_throttle("on")
        campaign = scene.start(devices)
        scene.wait_for_campaign(campaign, "completed", timeout_s=90)

        assert scene.stack.cloud.control.status()["hub"]["throttled"].get("TwinUpdate", 0) > 0
        check_tables(scene, campaign, devices, fleet)
        rows = scene.tables.rollouts(campaign)

    assert {row["state"] for row in rows} == {"succeeded"}
    first_offer = min(row["sent_at"] for row in rows)
    [next_batch] = [row["sent_at"] for row in rows if row["batch"] == 1]
    charged_s = FULL_BATCH * CHARGE_PER_DEVICE / S1_UPDATES_PER_S
    assert (next_batch - first_offer).total_seconds() >= charged_s - 0.5
