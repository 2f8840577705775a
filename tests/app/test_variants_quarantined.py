"""Cohorts of devices that say what they are in their twins, and do not repeat it in each report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.folding import fold_report
from shared.domain.ids import DeviceId
from shared.domain.rollouts import Rollout, RolloutState
from tests.app.test_variants_planned import BOTH, know, world_of
from tests.support.campaign_world import CampaignWorld
from tests.support.rollouts import NOON, TARGET, make_report, make_rollout

S = RolloutState
ONE: dict[str, Any] = {"package": {"name": "fw-a", "version": "2.0.0"}}
GATE = {"failure_percent": 90, "success_percent": 10}


def world_of_two_kinds() -> CampaignWorld:
    fleet = {f"{kind}-{number}": hardware for kind, hardware in (("a", "gw-1"), ("b", "gw-3")) for number in range(40)}
    world = world_of({}, outcome=lambda device: S.FAILED if device.startswith("a") else S.SUCCEEDED)
    world.directory.devices += list(map(DeviceId, fleet))
    for device, hardware in fleet.items():
        know(world, device, hardware, installed={"fw-a": "1.0.0", "fw-b": "1.0.0"})
    world.describe = _told
    return world


def _told(row: Rollout) -> Rollout:
    """What a report of that end makes of the row: it says nothing of hardware."""
    report = make_report(row.device, "downloading", hardware="", sequence=row.sequence)
    heard = fold_report(replace(row, state=S.OFFERED), report, TARGET, now=NOON)
    return replace(row, hardware=heard.hardware, code="disk" if row.state is S.FAILED else "")


@pytest.mark.parametrize("packages", [ONE, BOTH], ids=["one", "several"])
def test_devices_of_a_cohort_that_fails_are_held_back_and_no_others(packages: dict[str, Any]) -> None:
    """A cohort that nobody who waits belongs to would hold nobody back, and take the failures from the gate."""
    world = world_of_two_kinds()
    waves = [{"count": 20, "gate": GATE}, {"rest": True, "gate": GATE}]
    campaign = world.post(**packages, waves=waves, quarantine={"minimum": 3, "failure_percent": 40})
    world.run(hours=4)
    assert [each.cohort.hardware for each in world.campaign(campaign.id).quarantined] == ["gw-1"]
    rows = world.rollouts.rows(campaign.id).values()
    assert {row.device[0] for row in rows if row.code == "quarantined"} == {"a"}
    assert {row.wave for row in rows if row.state is S.FAILED} == {1}


def test_a_report_that_does_not_say_what_the_device_is_leaves_what_is_known() -> None:
    row = make_rollout(hardware="gw-1")
    assert fold_report(row, make_report(hardware=""), TARGET, now=NOON).hardware == "gw-1"
    assert fold_report(row, make_report(hardware="gw-2"), TARGET, now=NOON).hardware == "gw-2"
