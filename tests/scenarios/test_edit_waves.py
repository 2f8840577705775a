"""An operator changes the waves of a paused campaign that have not begun."""

from __future__ import annotations

from typing import Any

from azure.iot.hub.models import Twin

from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until

GATE = {"success_percent": 90, "soak_s": 600}


def test_waves_of_a_paused_campaign_are_resized_and_added_and_it_goes_on_with_them(scene: Scene) -> None:
    """I3, I5, I9: the canary keeps its devices, the others are cut anew, and the log says who wanted it."""
    devices = scene.devices(9)
    waves = [{"name": "canary", "count": 2, "gate": GATE}, {"name": "others", "rest": True, "gate": GATE}]
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, waves=waves)
        wait_until(lambda: scene.show(campaign)["waves"][:1] != [] and _soaks(scene, campaign), what="a soak")
        url = f"{scene.stack.api}/campaigns/{campaign}/waves"
        tail = [{"name": "some", "count": 3}, {"name": "everybody", "rest": True, "gate": {"success_percent": 50}}]
        early = scene.http.patch(url, json={"waves": tail}, timeout=10)
        assert (early.status_code, early.json()["code"]) == (409, "action_does_not_fit")
        assert scene.act(campaign, "pause").status_code == 200
        canaries = {row["device"] for row in scene.tables.rollouts(campaign) if row["wave"] == 1}

        bad = scene.http.patch(url, json={"waves": [{"count": 1}]}, timeout=10)
        edited = [scene.http.patch(url, json={"waves": tail, "gate": {"soak_s": 0}}, timeout=10) for _ in range(2)]
        assert (bad.status_code, "end with a wave of the rest" in bad.json()["detail"]) == (400, True)
        assert [answer.status_code for answer in edited] == [200, 200]
        wait_until(lambda: scene.show(campaign)["plan"]["phase"] == "done", what="rows in their waves")
        moved = scene.tables.rollouts(campaign)
        assert {row["device"] for row in moved if row["wave"] == 1} == canaries
        assert [sum(row["wave"] == wave for row in moved) for wave in (1, 2, 3)] == [2, 3, 4]

        assert scene.act(campaign, "resume").status_code == 200
        skipped = scene.post(f"campaigns/{campaign}/skip-wave", {"wave": 1})
        assert skipped.status_code == 200
        shown = scene.wait_for_campaign(campaign, "completed")
        check_tables(scene, campaign, devices, fleet)
    assert [(wave["name"], wave["devices"]) for wave in shown["waves"]] == [
        ("canary", 2),
        ("some", 3),
        ("everybody", 4),
    ]
    assert shown["waves"][2]["gate"]["success_percent"] == 50
    edits = [entry for entry in scene.tables.audit(campaign) if entry["what"] == "edit-waves"]
    assert [entry["detail"] for entry in edits] == ["2 (others): 7 became 2 (some): 3, 3 (everybody): 4"]


def test_a_wave_by_filter_is_added_and_another_is_removed(scene: Scene) -> None:
    """I3: the tags decide at the time of the edit; what was one wave too many leaves no row behind."""
    devices = scene.devices(8)
    waves: list[dict[str, Any]] = [{"count": 1}, {"count": 2}, {"percent": 50}, {"rest": True}]
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, waves=waves, gate=GATE)
        wait_until(lambda: scene.show(campaign)["waves"][:1] != [] and _soaks(scene, campaign), what="a soak")
        assert scene.act(campaign, "pause").status_code == 200
        pending = [row["device"] for row in scene.tables.rollouts(campaign) if row["wave"] > 1]
        for device in pending[:2]:
            scene.registry.update_twin(device, Twin(tags={"ring": scene.name}))
        url = f"{scene.stack.api}/campaigns/{campaign}/waves"
        gate = {"success_percent": 90, "soak_s": 0}
        nobody = [{"filter": "tags.ring = 'nobody'"}, {"rest": True}]
        assert scene.http.patch(url, json={"waves": nobody}, timeout=10).status_code == 200
        wait_until(lambda: scene.show(campaign)["plan"]["phase"] == "done", what="an edit given up")
        kept = scene.show(campaign)
        assert (len(kept["waves"]), "its waves stay as they were" in kept["reason"]) == (4, True)

        tail = [{"name": "ring", "filter": f"tags.ring = '{scene.name}'"}, {"name": "all", "rest": True}]
        asked = scene.http.patch(url, json={"waves": tail, "gate": gate}, timeout=10)
        assert (asked.status_code, asked.json()["plan"]["phase"]) == (200, "filtering")
        wait_until(lambda: scene.show(campaign)["plan"]["phase"] == "done", what="rows in their waves")
        moved = scene.tables.rollouts(campaign)
        assert {row["device"] for row in moved if row["wave"] == 2} == set(pending[:2])
        assert [sum(row["wave"] == wave for row in moved) for wave in (1, 2, 3)] == [1, 2, 5]
        rows = scene.tables.query("campaigns", "PartitionKey eq @c and RowKey ge 'wave~'", c=campaign)
        assert [row["RowKey"] for row in rows] == ["wave~0001", "wave~0002", "wave~0003"]

        assert scene.act(campaign, "resume").status_code == 200
        assert scene.post(f"campaigns/{campaign}/skip-wave", {"wave": 1}).status_code == 200
        scene.wait_for_campaign(campaign, "completed")
        check_tables(scene, campaign, devices, fleet)
    said = [entry["what"] for entry in scene.tables.audit(campaign)]
    edits = [what for what in said if what in ("ask-waves", "drop-edit", "edit-waves")]
    assert edits == ["ask-waves", "drop-edit", "ask-waves", "edit-waves"]


def _soaks(scene: Scene, campaign: str) -> bool:
    return bool(scene.show(campaign)["waves"][0]["state"] == "soaking")
