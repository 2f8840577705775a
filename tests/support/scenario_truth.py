"""Is all that the tables say about a campaign true?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence

from agent.fleet import FleetThread
from demo.truth import find_lies, find_miscounts
from shared.domain.ids import DeviceId
from tests.support.scenario_artifacts import NEW_VERSION
from tests.support.scenario_scene import Scene
from tests.support.scenario_tables import Row
from tests.support.waiting import wait_until

_UNSETTLED_S = 20.0


def check_tables(
    scene: Scene, campaign: str, devices: Sequence[str], fleet: FleetThread, *, version: str = NEW_VERSION
) -> None:
    """Hold rows, counters and waves against each other and against what the devices really run (invariant I3)."""
    rows = scene.tables.rollouts(campaign)
    assert Counter(row["device"] for row in rows) == Counter(devices), "each target has exactly one row"
    waves = scene.show(campaign)["waves"]
    assert sum(wave["devices"] for wave in waves) == len(devices)
    assert find_miscounts(rows, waves) == []
    # A row that no report reached cannot say what its device runs.
    told = [row for row in rows if "mark" in row]
    assert find_lies(told, _truth(fleet), package=scene.name, version=version) == []
    assert [row["device"] for row in rows if "mark" not in row and row["state"] == "succeeded"] == []


def wait_until_settled(scene: Scene, devices: Sequence[str], fleet: FleetThread) -> None:
    """Return once no device is held any more and ``devices`` says what each really runs."""
    wait_until(
        lambda: not _find_unsettled(scene, devices, fleet), timeout_s=_UNSETTLED_S, every_s=0.2, what="settled devices"
    )


def _find_unsettled(scene: Scene, devices: Sequence[str], fleet: FleetThread) -> list[str]:
    rows: dict[str, Row] = {row["device"]: row for row in scene.tables.query("devices")}
    runs = _truth(fleet)
    return [
        device
        for device in devices
        if device not in rows or rows[device]["held_by"] or json.loads(rows[device]["installed"]) != runs(device)
    ]


def _truth(fleet: FleetThread) -> Callable[[str], dict[str, str]]:
    return lambda device: fleet.installed(DeviceId(device))
