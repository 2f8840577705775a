"""Cohort quarantine: the ones that fail alike are held back, and the campaign goes on with the others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.cohorts import Cohort, CohortCounts
from shared.domain.devices import DeviceRecord
from shared.domain.ids import DeviceId
from shared.domain.rollouts import Rollout, RolloutState
from shared.handlers.advance_campaign import advance_campaign
from shared.handlers.quarantine_cohorts import QUARANTINED
from shared.handlers.show_campaigns import view_of
from shared.ports.stored import Stored
from shared.wire.alerts import ALERT
from shared.wire.campaign_rows import read_campaign, write_campaign_row, write_wave_row
from shared.wire.messages import CampaignStep
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld
from tests.support.data_plane import DataPlane
from tests.support.mortal import Died, Faults, Life

C, S = CampaignState, RolloutState
OLD = [f"mk2-{number:02}" for number in range(10)]
NEW = [f"mk3-{number:02}" for number in range(20)]
BAD = Cohort(hardware="mk2", version="1.0.0")
REQUEST: dict[str, Any] = {
    "key": "once",
    "rate": {"devices_per_minute": 3},
    "gate": {"success_percent": 90, "failure_percent": 15, "minimum_completed": 1},
    "quarantine": {"minimum": 3, "failure_percent": 60},
}


def hardware_of(device: str) -> str:
    return device.partition("-")[0]


def fails_on_mk2(device: DeviceId) -> RolloutState:
    return S.FAILED if hardware_of(device) == "mk2" else S.SUCCEEDED


def described(row: Rollout) -> Rollout:
    """What the reports of the device add to its row."""
    code = "health_check_failed" if row.state is S.FAILED else row.code
    return replace(row, hardware=hardware_of(row.device), former_version="1.0.0", code=code)


def new_world(**options: Any) -> CampaignWorld:
    """Devices that earlier campaigns have met."""
    world = CampaignWorld([*OLD, *NEW], outcome=fails_on_mk2, **options)
    world.describe = described
    records = [
        DeviceRecord(
            device=DeviceId(name), hardware=hardware_of(name), installed={"thermostat": "1.0.0"}, changed_at=NOON
        )
        for name in (*OLD, *NEW)
    ]
    world.device_rows.write([Stored(value=record, etag="") for record in records])
    return world


def run(world: CampaignWorld, request: dict[str, Any] = REQUEST) -> Campaign:
    try:
        campaign = world.post(**request)
    except Died:
        campaign = world.post(**request)
    world.run_until(campaign.id, C.COMPLETED, C.PAUSED)
    world.run()
    world.check_counters(campaign.id)
    check_cohorts(world, campaign)
    return world.campaign(campaign.id)


def check_cohorts(world: CampaignWorld, campaign: Campaign) -> None:
    """I3: what is counted by cohort equals the rows."""
    counts = CohortCounts()
    for row in world.rollouts.rows(campaign.id).values():
        counts = counts.moved(None, row)
    kept = world.rollouts.read_tally(campaign.id, 1, world.shards).cohorts
    assert {cohort: kept.ended(cohort) for cohort in kept.ends} == {
        cohort: counts.ended(cohort) for cohort in counts.ends
    }


def test_one_evaluation_reads_the_counters_of_a_wave_once() -> None:
    """Twice would be two moments: a failure that comes between would count for the one and not for the other."""
    world = new_world()
    campaign = world.post(**REQUEST)
    world.run(lambda: bool(world.campaign(campaign.id).quarantined))
    stored = world.campaign(campaign.id)
    for asked in (None, stored.step):
        world.rollouts.tallies_read.clear()
        advance_campaign(CampaignStep(campaign=campaign.id, step=asked, wave=1), world.ports, now=world.now)
        assert world.rollouts.tallies_read[campaign.id, 1] == 1


def test_a_cohort_that_fails_is_held_back_and_the_others_are_updated() -> None:
    world = new_world()
    campaign = run(world)
    assert campaign.state is C.COMPLETED, campaign.reason
    rows = world.rollouts.rows(campaign.id)
    assert {rows[DeviceId(name)].state for name in NEW} == {S.SUCCEEDED}
    failed = [name for name in OLD if rows[DeviceId(name)].state is S.FAILED]
    held = [rows[DeviceId(name)] for name in OLD if name not in failed]
    assert 3 <= len(failed) <= 6, "a minute's worth may be under way when the third fails"
    assert {(row.state, row.code) for row in held} == {(S.SKIPPED, QUARANTINED)}
    assert "mk2 from 1.0.0 ended as failed (health_check_failed)" in held[0].detail
    [quarantined] = campaign.quarantined
    assert (quarantined.cohort, quarantined.failures >= 3) == (BAD, True)


def test_it_is_audited_shown_and_people_are_woken() -> None:
    world = new_world()
    campaign = run(world)
    [entry] = [entry for entry in world.audit.read(campaign.id) if entry.what == "quarantine"]
    assert "mk2 from 1.0.0" in entry.detail
    alerts = [json.loads(event.data) for event in world.events.events if event.type == ALERT]
    assert {alert["code"] for alert in alerts} == {"cohort_quarantined"}
    [shown] = view_of(campaign, world.view_ports).quarantined
    assert (shown.hardware, shown.version, shown.state, shown.code) == ("mk2", "1.0.0", "failed", "health_check_failed")
    rows = [write_wave_row(campaign, wave) for wave in campaign.waves]
    assert read_campaign(write_campaign_row(campaign), rows) == campaign
    fresh = {name: value for name, value in write_campaign_row(campaign).items() if name != "quarantined"}
    assert read_campaign(fresh).quarantined == ()


def test_without_a_quarantine_the_gate_stops_the_campaign() -> None:
    request = {name: value for name, value in REQUEST.items() if name != "quarantine"}
    assert run(new_world(), request).state is C.PAUSED


def test_failures_beside_the_cohort_still_stop_the_campaign() -> None:
    world = new_world()
    world.outcome = lambda _device: S.FAILED
    world.describe = lambda row: replace(described(row), code=f"code-{row.device}")
    stopped = run(world)
    assert (stopped.state, stopped.quarantined) == (C.PAUSED, ())


@pytest.mark.parametrize("seed", range(3))
def test_disorder_and_losses_hold_back_the_same_cohort(seed: int) -> None:
    world = new_world(faults=Faults(duplicated=0.3, dropped=0.1, reordered=True, seed=seed))
    campaign = run(world)
    assert campaign.state is C.COMPLETED, campaign.reason
    assert [each.cohort for each in campaign.quarantined] == [BAD]
    rows = world.rollouts.rows(campaign.id)
    assert {rows[DeviceId(name)].state for name in OLD} == {S.FAILED, S.SKIPPED}


def test_a_death_at_any_write_holds_back_the_same_cohort() -> None:
    life = Life()
    run(new_world(life=life))
    for left in range(life.writes):
        campaign = run(new_world(life=Life(left=left)))
        assert campaign.state is C.COMPLETED, (left, campaign.reason)
        assert [each.cohort for each in campaign.quarantined] == [BAD], left


def test_resuming_accepts_what_is_left_and_counts_no_failure_twice() -> None:
    """What cohorts are held back for is not acknowledged too: the next failure would be hidden by it."""
    world = new_world()
    world.outcome = lambda device: S.FAILED if hardware_of(device) == "mk2" or device in NEW[:6] else S.SUCCEEDED
    world.describe = lambda row: (
        described(row) if hardware_of(row.device) == "mk2" else replace(described(row), code=f"own-{row.device}")
    )
    stopped = run(world)
    assert stopped.state is C.PAUSED
    assert stopped.quarantined
    world.act(stopped.id, "resume")
    accepted = world.campaign(stopped.id).waves[0].acknowledged
    others = [row for row in world.rollouts.rows(stopped.id).values() if row.code.startswith("own-")]
    assert accepted.of(S.FAILED) == sum(row.state is S.FAILED for row in others)


def test_what_a_device_is_comes_from_its_reports_and_outlives_the_campaign() -> None:
    plane = DataPlane(["gw-0"])
    plane.dispatch()
    plane.relay([plane.says("gw-0", "failed", 1, hardware="mk2")])
    plane.fold()
    assert (plane.row("gw-0").hardware, plane.row("gw-0").former_version) == ("mk2", "1.4.0")
    plane.visit()
    assert plane.record("gw-0").hardware == "mk2"
    counts = plane.rollouts.read_tally(plane.campaign.id, 1, 1).cohorts
    assert counts.ended(Cohort(hardware="mk2", version="1.4.0")) == 1
