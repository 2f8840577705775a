"""What a campaign would do, asked over HTTP before it does anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from demo.devices import register
from tests.support.scenario import run_timer
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import LENIENT, Scene
from tests.support.waiting import wait_until

WAVES = [{"name": "canary", "count": 1}, {"name": "all", "rest": True}]


def dry_run(scene: Scene, body: dict[str, Any], **options: Any) -> requests.Response:
    return scene.post("campaigns?dry_run=true", body, **options)


def campaigns_of(scene: Scene) -> list[dict[str, Any]]:
    found = scene.http.get(f"{scene.stack.api}/campaigns?size=200", timeout=30).json()["campaigns"]
    return [campaign for campaign in found if campaign["name"] == scene.name]


def test_a_list_is_planned_at_once_with_who_holds_its_devices(scene: Scene) -> None:
    devices = scene.devices(6)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    holder = scene.start(devices[:2])
    scene.wait_for_states(holder, dict.fromkeys(devices[:2], "offered"))
    # Rows are marked before their twins are written.
    wait_until(lambda: all("update" in scene.desired(device) for device in devices[:2]), what="offers in the twins")
    before = {device: dict(scene.desired(device)) for device in devices}

    answer = dry_run(scene, scene.request(devices, waves=WAVES))

    assert answer.status_code == 200, answer.text
    plan = answer.json()["plan"]
    assert plan["basis"] == "exact"
    assert [(wave["name"], wave["devices"]) for wave in plan["waves"]] == [("canary", 1), ("all", 5)]
    assert plan["conflicts"]["count"] == 2
    assert {held["device"]: held["campaign"] for held in plan["conflicts"]["devices"]} == dict.fromkeys(
        devices[:2], holder
    )
    length = scene.http.get(f"{scene.stack.api}/packages/{scene.name}/{NEW_VERSION}", timeout=30).json()["length_bytes"]
    assert (plan["usage"]["twin_writes"], plan["usage"]["egress_bytes"]) == (4, 4 * length)
    assert plan["cost"]["total"] > 0
    assert {warning["code"] for warning in plan["warnings"]} >= {"devices_held", "gate_without_slack"}
    assert [campaign["id"] for campaign in campaigns_of(scene)] == [holder]
    assert {device: dict(scene.desired(device)) for device in devices} == before


def test_a_query_is_planned_by_an_operation_and_the_campaign_is_what_was_planned(scene: Scene) -> None:
    devices = scene.devices(8)
    scene.artifacts.publish()
    with scene.fleet(devices):
        body = scene.request([], waves=WAVES, gate=LENIENT)
        body["targets"] = {"query": f"SELECT * FROM devices WHERE STARTSWITH(deviceId, '{scene.name}-')"}  # noqa: S608
        answer = dry_run(scene, body)
        assert (answer.status_code, answer.json()["state"]) == (202, "running"), answer.text
        assert answer.headers["Retry-After"]

        done: dict[str, Any] = {}

        def finished() -> bool:
            done.update(scene.http.get(answer.headers["Location"], timeout=30).json())
            return bool(done["state"] != "running")

        wait_until(finished, timeout_s=30, what="the operation")
        assert (done["state"], done["plan"]["basis"], done["plan"]["devices"]) == ("succeeded", "exact", 8), done
        assert campaigns_of(scene) == []

        started = scene.post("campaigns", body)
        assert started.status_code == 201, started.text
        real = scene.wait_for_campaign(started.json()["id"], "completed")
    planned = done["plan"]["waves"]
    assert [(wave["name"], wave["devices"]) for wave in planned] == [
        (wave["name"], wave["devices"]) for wave in real["waves"]
    ]


def test_a_schedule_that_is_too_short_and_what_retries_may_add_are_told_beforehand(scene: Scene) -> None:
    devices = scene.devices(4)
    scene.artifacts.publish()
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    schedule = {"start_at": start.isoformat(), "end_at": (start + timedelta(minutes=5)).isoformat()}
    gate = {"success_percent": 90, "soak_s": 600}
    body = scene.request(devices, waves=WAVES, gate=gate, schedule=schedule, retries={"maximum": 3})
    plan = dry_run(scene, body).json()["plan"]
    assert datetime.fromisoformat(plan["duration"]["begins_at"]) == start
    assert datetime.fromisoformat(plan["duration"]["ends_at"]) >= start + timedelta(seconds=1_200)
    told = {warning["code"]: warning["field"] for warning in plan["warnings"]}
    assert told["schedule_too_short"] == "schedule.end_at"
    assert (plan["retries"]["assumed_failure_percent"], plan["retries"]["offers"]) == (5.0, 1)
    assert campaigns_of(scene) == []


def test_an_old_operation_is_forgotten_with_what_it_left(scene: Scene) -> None:
    devices = scene.devices(3)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    query = f"SELECT * FROM devices WHERE STARTSWITH(deviceId, '{scene.name}-')"  # noqa: S608 - ids of our own
    made = [dry_run(scene, scene.request([], targets={"query": query}), key=key) for key in ("old", "young")]
    old, young = (answer.json()["id"] for answer in made)
    wait_until(lambda: {_state(scene, each) for each in (old, young)} == {"succeeded"}, what="both operations")
    [row] = scene.tables.query("operations", "PartitionKey eq @old", old=old)
    scene.tables.update("operations", row | {"changed_at": row["changed_at"] - timedelta(days=8)})

    run_timer(scene.stack, "every_day_forget_operations")
    gone = scene.http.get(f"{scene.stack.api}/operations/{old}", timeout=10)
    assert (gone.status_code, gone.json()["code"]) == (404, "operation_not_found")
    assert "ask for the dry run again" in gone.json()["detail"]
    manifests = scene.blobs.get_container_client("manifests")
    left = {owner: list(manifests.list_blob_names(name_starts_with=owner)) for owner in (old, young)}
    assert (left[old], len(left[young]) > 0, _state(scene, young)) == ([], True, "succeeded")

    again = dry_run(scene, scene.request([], targets={"query": query}), key="old")
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (202, old, "running")


def _state(scene: Scene, operation: str) -> str:
    return str(scene.http.get(f"{scene.stack.api}/operations/{operation}", timeout=10).json()["state"])


def test_a_dry_run_under_the_key_of_a_campaign_says_how_it_differs(scene: Scene) -> None:
    scene.artifacts.publish()
    devices = scene.devices(2)
    campaign = scene.start(devices, key=scene.name)

    same = dry_run(scene, scene.request(devices), key=scene.name).json()["existing"]
    other = dry_run(scene, scene.request(devices, allow_downgrade=True), key=scene.name).json()["existing"]

    assert (same["id"], same["same_request"], same["differences"]) == (campaign, True, [])
    assert not other["same_request"]
    assert [(each["field"], each["request"]) for each in other["differences"]] == [("allow_downgrade", "true")]


def test_what_can_never_work_is_refused_at_plan_time(scene: Scene) -> None:
    scene.artifacts.publish()
    devices = scene.devices(3)
    too_much = scene.request(devices, waves=[{"percent": 60}, {"percent": 60}])
    never = scene.request(devices, waves=[{"count": 2, "gate": {"minimum_completed": 3}}, {"rest": True}])
    refused = scene.request(devices)
    refused["targets"] = {"query": "SELECT * FROM devices WHERE nonsense nonsense"}
    for body, words in ((too_much, "add up to 120"), (never, "waves.0.gate.minimum_completed"), (refused, "targets")):
        for answer in (dry_run(scene, body), *([] if body is refused else [scene.post("campaigns", body)])):
            assert answer.status_code == 400, answer.text
            assert words in answer.json()["detail"]
    assert "compare" in scene.post("campaigns?dry_run=maybe", scene.request(devices)).json()["detail"]
    assert scene.http.get(f"{scene.stack.api}/operations/none-such", timeout=10).status_code == 404
