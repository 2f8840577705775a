"""Campaigns that start and end by the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agent.fleet.behaviour import slow
from demo.devices import register
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_campaign_starts_when_its_time_has_come(scene: Scene) -> None:
    """Until then its devices are held and offered nothing; nobody needs to be there."""
    devices = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        start = datetime.now(UTC) + timedelta(seconds=6)
        campaign = scene.start(devices, schedule={"start_at": start.isoformat()})
        shown = scene.wait_for_campaign(campaign, "scheduled")
        assert shown["actions"] == ["start", "pause", "cancel", "force-cancel"]
        assert set(scene.tables.states(campaign).values()) == {"planned"}
        done = scene.wait_for_campaign(campaign, "completed")
        assert datetime.fromisoformat(done["waves"][0]["started_at"]) >= start
        check_tables(scene, campaign, devices, fleet)


def test_an_operator_need_not_wait_for_the_start(scene: Scene) -> None:
    devices = scene.devices(1)
    scene.artifacts.publish()
    with scene.fleet(devices):
        campaign = scene.start(devices, schedule={"start_at": in_seconds(3_600)})
        scene.wait_for_campaign(campaign, "scheduled")
        assert {scene.act(campaign, "start").status_code for _ in range(2)} == {200}
        scene.wait_for_campaign(campaign, "completed")


def test_at_the_end_offers_are_taken_back_and_who_installs_goes_on(scene: Scene) -> None:
    absent, busy, later = scene.devices(3)
    scene.artifacts.publish()
    register(scene.stack.settings["IotHub"], [absent, later])
    with scene.fleet({busy: slow(12.0)}):
        schedule = {"end_at": in_seconds(10), "at_end": "cancel"}
        campaign = scene.start([absent, busy, later], schedule=schedule)
        scene.wait_for_states(campaign, {absent: "offered", busy: "installing", later: "offered"})
        ended = scene.wait_for_campaign(campaign, "aborted")
        assert ended["reason"].startswith("its schedule ended at ")
        scene.wait_for_states(campaign, {absent: "cancelled", later: "cancelled", busy: "succeeded"})
        assert "update" not in scene.desired(absent)
    what = [(entry["what"], entry["who"]) for entry in scene.tables.audit(campaign)]
    assert ("end", "schedule") in what


def test_a_schedule_that_makes_no_sense_is_refused(scene: Scene) -> None:
    scene.artifacts.publish()
    for schedule, complaint in (
        ({"start_at": in_seconds(60), "end_at": in_seconds(30)}, "schedule: end_at must lie after start_at"),
        ({"start_at": in_seconds(-600)}, "schedule.start_at: "),
        ({"start_at": "2026-12-01T10:00:00"}, "schedule.start_at: "),
    ):
        answer = scene.post("campaigns", scene.request(scene.devices(1), schedule=schedule))
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(complaint)
