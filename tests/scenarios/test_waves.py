"""I5: a wave starts once, after the gate before it passed or a named operator went on."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from agent.fleet.behaviour import FAILS_HEALTH
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables

GATE = {"success_percent": 90, "failure_percent": 0, "soak_s": 0.5}
WAVES = [{"count": 1, "gate": GATE}, {"percent": 30, "gate": GATE}, {"rest": True, "gate": GATE}]


def find_early_waves(scene: Scene, campaign: str) -> list[int]:
    """Waves that have offers though a wave before them has not passed."""
    rows = scene.tables.rollouts(campaign)
    offered = {row["wave"] for row in rows if row["state"] != "planned"}
    # Read after the rows: a wave that is not passed now had not passed then.
    passed = {wave["number"] for wave in scene.show(campaign)["waves"] if wave["state"] == "passed"}
    return [wave for wave in offered if not set(range(1, wave)) <= passed]


def test_no_wave_is_offered_before_the_gate_of_the_wave_before_it_has_passed(scene: Scene) -> None:
    """I5: looked at while it runs, and in the times that the tables keep."""
    devices = scene.devices(10)
    early: list[int] = []
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, waves=WAVES)
        shown = scene.wait_for_campaign(
            campaign, "completed", meanwhile=lambda: early.extend(find_early_waves(scene, campaign))
        )
        check_tables(scene, campaign, devices, fleet)

    assert early == []
    assert [wave["devices"] for wave in shown["waves"]] == [1, 3, 6]
    for before, after in pairwise(shown["waves"]):
        sent = [row["sent_at"] for row in scene.tables.rollouts(campaign) if row["wave"] == after["number"]]
        assert min(sent) >= datetime.fromisoformat(before["ended_at"])


def test_a_failing_wave_pauses_the_campaign_and_only_an_operator_lets_it_go_on(scene: Scene) -> None:
    """I5: every device fails its health check; each wave needs somebody's word."""
    devices = scene.devices(6)
    waves = [{"count": 2, "gate": GATE}, {"rest": True, "gate": GATE}]
    scene.artifacts.publish()
    with scene.fleet(dict.fromkeys(devices, FAILS_HEALTH)) as fleet:
        campaign = scene.start(devices, waves=waves)
        stopped = scene.wait_for_campaign(campaign, "paused")
        scene.stack.cloud.wait_until_quiet()
        assert [wave["state"] for wave in scene.show(campaign)["waves"]] == ["failed", "pending"]
        assert "failed" in stopped["reason"]
        assert {row["state"] for row in scene.tables.rollouts(campaign) if row["wave"] == 2} == {"planned"}
        assert find_early_waves(scene, campaign) == []

        assert scene.act(campaign, "resume").status_code == 200
        scene.wait_for_states(campaign, dict.fromkeys(devices, "failed"))
        again = scene.wait_for_campaign(campaign, "paused")

        assert [wave["state"] for wave in again["waves"]] == ["passed", "failed"]
        assert again["waves"][0]["acknowledged_failures"] >= 1
        check_tables(scene, campaign, devices, fleet)
    deeds = [(entry["what"], entry["who"]) for entry in scene.tables.audit(campaign)]
    assert [what for what, _ in deeds] == ["create", "stop", "resume", "pass", "stop"]
    assert deeds[2][1] != "gate"
