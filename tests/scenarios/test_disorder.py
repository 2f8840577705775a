"""I3 and I4: whatever happens to events and processes, the tables end as the devices are."""

from __future__ import annotations

import time

import pytest

from shared.domain.ids import DeviceId
from tests.support.scenario import kill_and_restart, run_timer
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import Scene
from tests.support.scenario_truth import check_tables, wait_until_settled
from tests.support.waiting import wait_until

WAVES = [{"count": 2}, {"percent": 25}, {"rest": True}]
RECONCILE_EVERY_S = 3.0


class Reconciling:
    """Runs the reconcile sweep every few seconds, as the hourly timer does for a fleet that can wait."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._next_at = time.monotonic() + RECONCILE_EVERY_S

    def __call__(self) -> None:
        if time.monotonic() >= self._next_at:
            run_timer(self._scene.stack, "every_hour_reconcile")
            self._next_at = time.monotonic() + RECONCILE_EVERY_S


@pytest.mark.parametrize("kinds", [("duplicate", "delay", "reorder", "merge")])
def test_events_that_come_twice_late_merged_or_in_disorder_leave_the_same_tables(
    scene: Scene, kinds: tuple[str, ...]
) -> None:
    """I4: nothing is lost here, so the campaign completes without any sweep."""
    devices = scene.devices(24)
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        for kind in kinds:
            scene.stack.cloud.faults.set(kind, probability=0.3, hold_s=0.6, seed=4)
        campaign = scene.start(devices, waves=WAVES)
        scene.wait_for_campaign(campaign, "completed")

        applied = scene.stack.cloud.control.status()["faults"]["applied"]
        assert all(applied[kind] for kind in kinds)
        check_tables(scene, campaign, devices, fleet)
        wait_until_settled(scene, devices, fleet)
        assert set(scene.tables.states(campaign).values()) == {"succeeded"}


def test_events_that_never_come_are_made_up_for_by_the_sweep(scene: Scene) -> None:
    """I4: a third of the reports is lost on the way; the twins still have them."""
    devices = scene.devices(16)
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        scene.stack.cloud.faults.set("drop", probability=0.35, seed=7)
        campaign = scene.start(devices, waves=WAVES)
        scene.wait_for_campaign(campaign, "completed", meanwhile=Reconciling(scene))

        assert scene.stack.cloud.control.status()["faults"]["applied"]["drop"]
        check_tables(scene, campaign, devices, fleet)
        wait_until_settled(scene, devices, fleet)


def test_the_sweep_looks_at_paused_campaigns_too(scene: Scene) -> None:
    """I7: every report is lost, and somebody pauses the campaign before any sweep."""
    devices = scene.devices(4)
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        scene.stack.cloud.faults.set("drop", probability=1.0, seed=3)
        campaign = scene.start(devices)
        wait_until(
            lambda: all(fleet.installed(DeviceId(device))[scene.name] == NEW_VERSION for device in devices),
            timeout_s=60,
            what="devices that are done",
        )
        assert scene.act(campaign, "pause").status_code == 200
        assert set(scene.tables.states(campaign).values()) == {"offered"}
        sweep = Reconciling(scene)
        wait_until(lambda: sweep() or set(scene.tables.states(campaign).values()) == {"succeeded"}, timeout_s=60)
        assert scene.show(campaign)["state"] == "paused"
        scene.act(campaign, "resume")
        scene.wait_for_campaign(campaign, "completed")


def test_a_host_killed_again_and_again_finishes_its_campaign_all_the_same(scene: Scene) -> None:
    """I4: SIGKILL while it plans, while it offers and while it folds; events are repeated and out of order besides."""
    devices = scene.devices(30)
    scene.artifacts.publish()
    with scene.fleet(devices) as fleet:
        for kind in ("duplicate", "reorder"):
            scene.stack.cloud.faults.set(kind, probability=0.25, hold_s=0.3, seed=11)
        campaign = scene.start(devices, waves=WAVES)
        kill_and_restart(scene.stack)
        for wave in (1, 2):
            wait_until(lambda wave=wave: _under_way(scene, campaign, wave), timeout_s=40, every_s=0.02)  # type: ignore[misc]
            kill_and_restart(scene.stack)
        scene.wait_for_campaign(campaign, "completed", timeout_s=60)

        check_tables(scene, campaign, devices, fleet)
        wait_until_settled(scene, devices, fleet)
        assert set(scene.tables.states(campaign).values()) == {"succeeded"}
        assert scene.stack.cloud.control.status()["queues"]["device-batches"]["dead_letter"] == 0


def _under_way(scene: Scene, campaign: str, wave: int) -> bool:
    return any(row["wave"] == wave and row["state"] != "planned" for row in scene.tables.rollouts(campaign))
