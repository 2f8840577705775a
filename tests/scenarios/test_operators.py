"""I9: what operators do is idempotent and audited with who, when and what."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import requests

from agent.fleet.behaviour import OK, slow
from demo.devices import register
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until


def test_the_same_post_with_the_same_key_starts_one_campaign(scene: Scene) -> None:
    """I9: four callers at once, and one more later; another request under the key is refused."""
    scene.artifacts.publish()
    body, key = scene.request(scene.devices(2)), f"{scene.name}-key"
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda _: scene.post("campaigns", body, key=key), range(4)))
    answers.append(scene.post("campaigns", body, key=key))

    assert {answer.status_code for answer in answers} == {201}
    [campaign] = {answer.json()["id"] for answer in answers}
    assert scene.post("campaigns", body | {"name": "another"}, key=key).status_code == 409
    assert [entry["what"] for entry in scene.tables.audit(campaign)].count("create") == 1


def test_pausing_twice_and_resuming_twice_is_pausing_and_resuming(scene: Scene) -> None:
    """I9: the second call answers as the first and leaves no second entry."""
    devices = scene.devices(2)
    register(scene.stack.settings["IotHub"], devices)
    scene.artifacts.publish()
    campaign = scene.start(devices)
    scene.wait_for_states(campaign, dict.fromkeys(devices, "offered"))

    paused = [scene.act(campaign, "pause") for _ in range(2)]
    resumed = [scene.act(campaign, "resume") for _ in range(2)]

    assert {answer.status_code for answer in paused + resumed} == {200}
    assert paused[0].json() == paused[1].json()
    assert [answer.json()["state"] for answer in paused + resumed] == ["paused", "paused", "running", "running"]
    entries = scene.tables.audit(campaign)
    assert Counter(entry["what"] for entry in entries) == {"create": 1, "pause": 1, "resume": 1}
    assert all(entry["who"] and entry["at"] for entry in entries)


def test_cancelling_in_flight_takes_back_what_can_be_taken_back(scene: Scene) -> None:
    """I9: the offers are withdrawn and their tickets die; a device that is past stopping is told of as it is."""
    absent, busy = scene.devices(2)
    scene.artifacts.publish()
    register(scene.stack.settings["IotHub"], [absent])
    with scene.fleet({busy: slow(4.0)}):
        campaign = scene.start([absent, busy])
        scene.wait_for_states(campaign, {absent: "offered", busy: "installing"})
        wait_until(lambda: "update" in scene.desired(absent), what="the offer in the twin")
        offer = scene.desired(absent)["update"]
        assert exchange(scene, offer) == 307

        assert {scene.act(campaign, "cancel").status_code for _ in range(2)} == {200}
        scene.wait_for_states(campaign, {absent: "cancelled"})

        assert "update" not in scene.desired(absent)
        assert "update" in scene.desired(busy), "it had begun, and may finish"
        assert exchange(scene, offer) == 410
        scene.wait_for_states(campaign, {busy: "succeeded"})
        assert scene.show(campaign)["state"] == "aborted"
        assert scene.show(campaign)["waves"][0]["counters"] == {"cancelled": 1, "succeeded": 1}
    assert [entry["what"] for entry in scene.tables.audit(campaign)] == ["create", "cancel"]


def test_a_device_waits_out_a_pause_before_it_downloads(scene: Scene) -> None:
    """I9: a pause holds for tickets that are out already."""
    [device] = devices = scene.devices(1)
    scene.artifacts.publish()
    register(scene.stack.settings["IotHub"], devices)
    campaign = scene.start(devices)
    wait_until(lambda: "update" in scene.desired(device), what="the offer in the twin")
    offer = scene.desired(device)["update"]
    scene.act(campaign, "pause")
    assert exchange(scene, offer) == 503
    with scene.fleet({device: OK}) as fleet:
        scene.wait_for_states(campaign, {device: "downloading"})
        scene.act(campaign, "resume")
        scene.wait_for_campaign(campaign, "completed")
        check_tables(scene, campaign, devices, fleet)


def exchange(scene: Scene, offer: dict[str, str]) -> int:
    """The status that the ticket of an offer gets."""
    url = f"{scene.stack.api}/downloads/{offer['path']}"
    answer = requests.get(url, headers={"Groundswell-Ticket": offer["ticket"]}, allow_redirects=False, timeout=10)
    return answer.status_code


def test_forcing_a_cancel_takes_back_the_offers_of_those_that_have_begun_too(scene: Scene) -> None:
    """A device that finishes all the same says what it runs, and the row tells the truth."""
    [busy] = scene.devices(1)
    scene.artifacts.publish()
    with scene.fleet({busy: slow(4.0)}):
        campaign = scene.start([busy])
        scene.wait_for_states(campaign, {busy: "installing"})
        offer = scene.desired(busy)["update"]
        scene.act(campaign, "cancel")
        assert exchange(scene, offer) == 307

        assert scene.act(campaign, "force-cancel").status_code == 200
        wait_until(lambda: "update" not in scene.desired(busy), what="the offer taken back")
        assert exchange(scene, offer) == 410
        scene.wait_for_states(campaign, {busy: "succeeded"})


def test_a_skipped_wave_opens_the_way_for_the_next(scene: Scene) -> None:
    """I5: past a wave that will never pass, and twice is once."""
    absent, present = scene.devices(2)
    register(scene.stack.settings["IotHub"], [absent])
    scene.artifacts.publish()
    with scene.fleet({present: OK}):
        campaign = scene.start([absent, present], waves=[{"count": 1}, {"rest": True}])
        scene.wait_for_states(campaign, {absent: "offered"})
        stuck = next(row["wave"] for row in scene.tables.rollouts(campaign) if row["device"] == absent)
        assert scene.act(campaign, "skip-wave").status_code == 400
        assert [scene.act(campaign, "skip-wave", wave=stuck).status_code for _ in range(2)] == [200, 200]
        shown = scene.wait_for_campaign(campaign, "completed")
        assert {wave["number"]: wave["state"] for wave in shown["waves"]} == {stuck: "skipped", 3 - stuck: "passed"}
        assert scene.tables.states(campaign)[absent] == "offered"
