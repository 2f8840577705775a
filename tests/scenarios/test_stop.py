"""The emergency stop of the whole fleet: nothing leaves while it stands, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests

from cli.__main__ import main
from shared.domain.waves import MAX_BATCH_DEVICES
from tests.support.scenario import functions_log, functions_told
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables
from tests.support.waiting import wait_until

DEVICES = MAX_BATCH_DEVICES + 6
HELD = "the fleet is stopped: batch 1 of wave 1"


@contextmanager
def released_at_last(scene: Scene) -> Iterator[None]:
    """However the scenario ends, the next one finds a fleet that goes on."""
    try:
        yield
    finally:
        stop(scene, "DELETE")


def stop(scene: Scene, method: str, body: object = None) -> requests.Response:
    """Talk to ``/stop``."""
    return scene.http.request(method, f"{scene.stack.api}/stop", json=body, timeout=30)


def groundswell(scene: Scene, *words: str) -> int:
    """The command line, as an operator uses it."""
    return main([*words, "--api", scene.stack.api, f"--function-key={scene.stack.cloud.host_key}"])


def test_a_fleet_stopped_in_mid_wave_gets_nothing_more_until_it_is_released(scene: Scene) -> None:
    """I4, I9: the wave's second batch waits, tickets that are out are worth nothing, and then the wave completes."""
    devices = scene.devices(DEVICES)
    scene.artifacts.publish()
    # An S1 is charged ten seconds for the first batch: the stop comes before the second.
    with functions_told(scene.stack, {"HUB_TIER": "S1"}), released_at_last(scene), scene.fleet(devices) as fleet:
        campaign = scene.start(devices, waves=[{"count": DEVICES - 1}, {"rest": True}])
        wait_until(lambda: sent(scene, campaign), timeout_s=45, what="the offers of the first batch")

        assert groundswell(scene, "stop", "--reason", "it bricks pumps") == 0
        first, again = stop(scene, "GET"), stop(scene, "POST", {"reason": "me too"})
        assert first.json() == again.json()
        [held] = [wait for wait in scene.show(campaign)["waits_for"] if wait["what"] == "fleet_release"]
        assert "stopped the whole fleet: it bricks pumps" in held["words"]
        assert held["since"] == first.json()["stopped_at"]
        wait_until(lambda: exchange(scene, devices) == {(503, "fleet_stopped")}, what="tickets that are refused")
        wait_until(lambda: HELD in functions_log(scene.stack), timeout_s=45, what="the second batch's time")

        waiting = [row["device"] for row in scene.tables.rollouts(campaign) if row["state"] == "planned"]
        assert len(waiting) == DEVICES - MAX_BATCH_DEVICES
        assert all("update" not in scene.desired(device) for device in waiting)
        assert not scene.show(campaign)["waves"][1]["started_at"]

        assert [groundswell(scene, "release") for _ in range(2)] == [0, 0]
        assert "fleet_release" not in {wait["what"] for wait in scene.show(campaign)["waits_for"]}
        scene.wait_for_campaign(campaign, "completed", timeout_s=100)
        check_tables(scene, campaign, devices, fleet)
    assert set(scene.tables.states(campaign).values()) == {"succeeded"}
    deeds = [(entry["what"], entry["detail"]) for entry in scene.tables.audit("fleet")]
    assert deeds[-2:] == [("stop", "it bricks pumps"), ("release", "it bricks pumps")], "others stop the fleet too"


def test_a_stop_must_say_why(scene: Scene) -> None:
    answer = stop(scene, "POST", {"reason": " "})
    assert answer.status_code == 400
    assert "reason" in answer.json()["detail"]
    assert not stop(scene, "GET").json()["stopped"]


def sent(scene: Scene, campaign: str) -> list[str]:
    """The devices whose offer has been written."""
    return [row["device"] for row in scene.tables.rollouts(campaign) if row["sent"]]


def exchange(scene: Scene, devices: list[str]) -> set[tuple[int, str]]:
    """What the tickets of the first few offers get: status and code."""
    offers = [scene.desired(device).get("update") for device in devices[:12]]
    answers = [
        requests.get(
            f"{scene.stack.api}/downloads/{offer['path']}",
            headers={"Groundswell-Ticket": offer["ticket"]},
            allow_redirects=False,
            timeout=10,
        )
        for offer in offers
        if offer
    ]
    return {(answer.status_code, answer.json().get("code", "") if answer.content else "") for answer in answers}
