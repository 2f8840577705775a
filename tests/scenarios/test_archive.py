"""What a campaign left in the table goes into blobs, once it ended long ago."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any

from agent.fleet.behaviour import FAILS_HEALTH, OK
from tests.support.scenario import functions_told, run_timer
from tests.support.scenario_scene import LENIENT, Scene


def archived(scene: Scene, campaign: str) -> list[dict[str, Any]]:
    """The rows in the campaign's parts."""
    container = scene.blobs.get_container_client("archive")
    parts = [container.download_blob(name).readall() for name in container.list_blob_names(name_starts_with=campaign)]
    return [json.loads(line)["row"] for part in parts for line in gzip.decompress(part).splitlines()]


def make_older(scene: Scene, campaign: str, *, days: int) -> None:
    """Let the campaign have ended so many days earlier."""
    [row] = scene.tables.query("campaigns", "PartitionKey eq @c and RowKey eq 'campaign'", c=campaign)
    scene.tables.update("campaigns", row | {"changed_at": row["changed_at"] - timedelta(days=days)})


def test_an_old_campaign_is_archived_and_can_still_be_looked_at(scene: Scene) -> None:
    devices = scene.devices(4)
    scene.artifacts.publish()
    with scene.fleet({device: FAILS_HEALTH if device == devices[0] else OK for device in devices}):
        old, young = scene.start(devices, gate=LENIENT), ""
        scene.wait_for_states(old, {device: "failed" if device == devices[0] else "succeeded" for device in devices})
        scene.wait_for_campaign(old, "completed")
        young = scene.start(devices, gate=LENIENT)
        scene.wait_for_campaign(young, "completed")
    scene.stack.cloud.wait_until_quiet()
    before, shown = scene.tables.rollouts(old), scene.show(old)
    make_older(scene, old, days=2)

    run_timer(scene.stack, "every_day_archive_campaigns")
    assert scene.tables.rollouts(old) == before, "kept for ever unless somebody asks for less"
    with functions_told(scene.stack, {"RETENTION_DAYS": "1"}):
        run_timer(scene.stack, "every_day_archive_campaigns")
        assert scene.tables.rollouts(old) == []
        assert {row["device"]: row["state"] for row in archived(scene, old)} == {
            row["device"]: row["state"] for row in before
        }
        again = scene.show(old)
        assert again["archived_at"] is not None
        assert [wave["counters"] for wave in again["waves"]] == [wave["counters"] for wave in shown["waves"]]
        assert len(scene.tables.rollouts(young)) == 4
        assert [entry["what"] for entry in scene.tables.audit(old)] == ["create", "pass", "complete"]
        refused = scene.act(old, "retry-failed")
        assert (refused.status_code, refused.json()["code"]) == (409, "archived")


def test_a_campaign_says_itself_how_long_its_rows_stay(scene: Scene) -> None:
    devices = scene.devices(2)
    scene.artifacts.publish()
    asked: dict[str, int] = {}
    with scene.fleet(dict.fromkeys(devices, OK)):
        for days in (0, 1, 3):
            asked[scene.start(devices, gate=LENIENT, retention_days=days)] = days
            scene.wait_for_campaign(list(asked)[-1], "completed")
    scene.stack.cloud.wait_until_quiet()
    assert [scene.show(campaign)["retention_days"] for campaign in asked] == [0, 1, 3]
    for campaign in asked:
        make_older(scene, campaign, days=2)

    run_timer(scene.stack, "every_day_archive_campaigns")
    assert [len(scene.tables.rollouts(campaign)) for campaign in asked] == [2, 0, 2]
    with functions_told(scene.stack, {"RETENTION_DAYS": "1"}):
        run_timer(scene.stack, "every_day_archive_campaigns")
    assert [scene.show(campaign)["archived_at"] is None for campaign in asked] == [True, False, True]
