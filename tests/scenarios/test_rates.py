"""Campaigns go no faster than they were told: devices a minute, and bytes a second."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables

PAIR = 2
GROWING = {"base_per_minute": PAIR, "factor": 20, "after_succeeded": PAIR, "maximum_per_minute": 40}


def test_a_rate_that_grows_begins_with_few_devices_and_hurries_once_they_succeeded(scene: Scene) -> None:
    """I6: two devices a minute, then forty, because the first two succeeded."""
    devices = scene.devices(6)
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, rate=GROWING)
        assert scene.show(campaign)["pace"]["devices_per_minute"] == PAIR
        shown = scene.wait_for_campaign(campaign, "completed", timeout_s=100)
        check_tables(scene, campaign, devices, fleet)

    sent = sorted(row["sent_at"] for row in scene.tables.rollouts(campaign))
    assert shown["pace"]["devices_per_minute"] == 40
    assert sent[2] - sent[1] > timedelta(seconds=15), "the base holds at first"
    assert sent[5] - sent[2] < timedelta(seconds=30), "two a minute would take a minute for each pair"


def test_downloads_stay_within_the_campaigns_bandwidth(scene: Scene) -> None:
    """I6: all have the offer, and one after the other gets a URL; nothing but time is lost by it."""
    devices = scene.devices(5)
    scene.artifacts.publish()
    [package] = scene.tables.query("packages", "name eq @name", name=scene.name)
    length = scene.http.get(f"{scene.stack.api}/packages/{scene.name}/{package['version']}").json()["length_bytes"]
    device_s = 2.0
    with scene.fleet(devices) as fleet:
        campaign = scene.start(devices, bandwidth_bytes_per_s=max(1024, int(length / device_s)))
        scene.wait_for_campaign(campaign, "completed", timeout_s=90)
        check_tables(scene, campaign, devices, fleet)
    marks = sorted(row["state_mark"].partition("#")[0] for row in scene.tables.rollouts(campaign))
    first, last = (datetime.fromisoformat(mark) for mark in (marks[0], marks[-1]))
    per_device_s = length / max(1024, int(length / device_s))
    # From the first success to the last; each device may install a little faster than another.
    assert (last - first).total_seconds() > (len(devices) - 1) * per_device_s - 1
    [promised] = [row for row in scene.tables.query("budget") if row["RowKey"].endswith(f"~{campaign}")]
    assert promised["free_at"] > first


def test_a_rate_that_cannot_be_is_refused(scene: Scene) -> None:
    answer = scene.post("campaigns", scene.request(["d"], rate=GROWING | {"maximum_per_minute": 1}))
    assert answer.status_code == 400
    assert "rate" in json.loads(answer.content)["detail"]
