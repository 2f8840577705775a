"""Who of the targets is left out: excluded devices, and those that run the version already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.devices import DeviceRecord
from shared.domain.hub_queries import narrow_query, query_where
from shared.domain.ids import DeviceId
from shared.domain.rollouts import RolloutState
from shared.handlers import claim_devices
from shared.ports.errors import QuotaExceeded, Throttled
from shared.ports.stored import Stored
from shared.wire.twins import PROPERTY
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died, Life, check_every_death

C, S = CampaignState, RolloutState
NORTH = "SELECT * FROM devices WHERE tags.site = 'north'"
LAB = "SELECT * FROM devices WHERE tags.lab = true"


def rows_of(world: CampaignWorld, campaign: Campaign) -> dict[str, tuple[S, str]]:
    return {row.device: (row.state, row.code) for row in world.rollouts.rows(campaign.id).values()}


def confirm(world: CampaignWorld, devices: Iterable[str], version: str = "2.0.0") -> None:
    """The devices' rows say that a rollout of the version ended well."""
    for device in devices:
        record = DeviceRecord(device=DeviceId(device), installed={"thermostat": version}, changed_at=NOON)
        world.device_rows.write([Stored(value=record, etag="")])


def report(world: CampaignWorld, devices: Iterable[str], version: str = "2.0.0") -> None:
    """The devices' twins say that they run the version."""
    for device in devices:
        document = {"$version": 2, PROPERTY: {"installed": {"thermostat": version}}}
        world.twins.reported[DeviceId(device)] = document


def test_excluded_devices_get_no_row_whether_named_or_found_by_a_query() -> None:
    world = CampaignWorld(fleet(250))
    world.directory.answers[LAB] = ["dev-20", "dev-21", "elsewhere"]
    campaign = world.post(targets={"query": NORTH, "exclude": {"devices": ["a#1", "dev-20"], "query": LAB}})
    done = world.run_until(campaign.id, C.COMPLETED)
    assert (done.targets, done.planning.listed, done.planning.excluded) == (247, 250, 3)
    assert world.rollouts.rows(campaign.id).keys() == set(fleet(250)) - {"a#1", "dev-20", "dev-21"}
    world.check_counters(campaign.id)


def test_devices_can_be_excluded_from_a_list_by_a_query() -> None:
    world = CampaignWorld()
    world.directory.answers[LAB] = ["b"]
    campaign = world.post(targets={"devices": ["a", "b", "c"], "exclude": {"query": LAB}})
    assert world.run_until(campaign.id, C.COMPLETED).targets == 2
    assert sorted(world.rollouts.rows(campaign.id)) == ["a", "c"]


def test_an_exclusion_that_leaves_nobody_ends_the_campaign_with_the_reason() -> None:
    world = CampaignWorld(fleet(5))
    campaign = world.post(targets={"query": NORTH, "exclude": {"query": LAB}})
    assert world.run_until(campaign.id, C.ABORTED).reason == "every target is excluded; nothing to roll out"


def test_an_exclusion_that_the_hub_refuses_ends_the_campaign_with_the_reason() -> None:
    world = CampaignWorld(fleet(5))
    broken = "SELECT * FROM devices WHERE BROKEN"
    campaign = world.post(targets={"devices": ["a"], "exclude": {"query": broken}})
    assert "refuses the query" in world.run_until(campaign.id, C.ABORTED).reason


def test_a_death_at_any_write_excludes_the_same_devices() -> None:
    """I4: the pages of three listings share one numbering, and none is lost or read for another."""
    request: dict[str, Any] = {"targets": {"query": NORTH, "exclude": {"devices": ["a#1"], "query": LAB}}}

    def run(life: Life) -> dict[str, Any]:
        world = CampaignWorld(fleet(30), life=life, page_size=7)
        world.directory.answers[LAB] = fleet(30)[20:]
        try:
            campaign = world.post(key="once", **request)
        except Died:
            campaign = world.post(key="once", **request)
        world.run_until(campaign.id, C.COMPLETED)
        world.run()
        world.check_counters(campaign.id)
        return world.end_state(campaign.id)

    expected = check_every_death(run)
    assert expected["campaign"] == (C.COMPLETED, 19, 0)


CANARY = "tags.ring = 'canary'"
BETA = "tags.ring = 'beta' OR tags.ring = 'canary'"
FILTERED = [{"name": "canary", "filter": CANARY}, {"filter": BETA}, {"percent": 50}, {"rest": True}]


def ringed(world: CampaignWorld) -> CampaignWorld:
    """Five canaries, seven more in beta, and one of each that is no target."""
    world.directory.answers[narrow_query(NORTH, CANARY)] = [
        *fleet(17)[12:],
        "x",
    ]
    world.directory.answers[narrow_query(NORTH, BETA)] = [*fleet(24)[12:], "y"]
    return world


def test_filters_take_their_devices_first_and_the_other_waves_share_the_rest() -> None:
    """I3, I5: each device is in the first wave whose filter it meets, and each wave waits for the gate before it."""
    world = ringed(CampaignWorld(fleet(60), page_size=7))
    campaign = world.post(targets={"query": NORTH}, waves=FILTERED)
    done = world.run_until(campaign.id, C.COMPLETED)
    assert [wave.devices for wave in done.waves] == [5, 7, 24, 24]
    waves = {row.device: row.wave for row in world.rollouts.rows(campaign.id).values()}
    assert {device for device, wave in waves.items() if wave == 1} == set(fleet(17)[12:])
    assert {device for device, wave in waves.items() if wave == 2} == set(fleet(24)[17:])
    assert world.starts == [(campaign.id, number) for number in (1, 2, 3, 4)]
    world.check_counters(campaign.id)


def test_filters_over_a_list_ask_for_the_whole_fleet_and_take_what_is_listed() -> None:
    world = CampaignWorld(fleet(60))
    world.directory.answers[query_where(CANARY)] = ["b", "z"]
    waves = [{"filter": CANARY}, {"rest": True}]
    campaign = world.post(targets={"devices": ["a", "b", "c"]}, waves=waves)
    assert [wave.devices for wave in world.run_until(campaign.id, C.COMPLETED).waves] == [1, 2]


def test_a_filter_that_no_target_meets_ends_the_campaign_before_anybody_is_offered_anything() -> None:
    world = CampaignWorld(fleet(60))
    world.directory.answers[query_where(CANARY)] = []
    waves = [{"filter": CANARY}, {"rest": True}]
    campaign = world.post(targets={"query": "SELECT * FROM devices"}, waves=waves)
    assert "no target is left for wave 1 (wave 1)" in world.run_until(campaign.id, C.ABORTED).reason


def test_a_failing_filter_wave_stops_the_campaign_at_its_own_gate() -> None:
    world = ringed(CampaignWorld(fleet(60), outcome=lambda device: S.FAILED if device == "dev-2" else S.SUCCEEDED))
    strict = [FILTERED[0] | {"gate": {"failure_count": 1}}, *FILTERED[1:]]
    campaign = world.post(targets={"query": NORTH}, waves=strict, gate={"failure_percent": None})
    stopped = world.run_until(campaign.id, C.PAUSED)
    assert [wave.state for wave in stopped.waves][1:] == ["pending"] * 3
    states = {row.wave: row.state for row in world.rollouts.rows(campaign.id).values() if row.wave > 1}
    assert set(states.values()) == {S.PLANNED}


def test_a_death_at_any_write_of_a_filtered_campaign_ends_in_the_same_waves() -> None:
    """I4: listings of targets, exclusions and two filters share one numbering of pages."""

    def run(life: Life) -> dict[str, Any]:
        world = ringed(CampaignWorld(fleet(60), life=life))
        request: dict[str, Any] = {"targets": {"query": NORTH, "exclude": {"devices": ["dev-2"]}}, "waves": FILTERED}
        try:
            campaign = world.post(key="once", **request)
        except Died:
            campaign = world.post(key="once", **request)
        world.run_until(campaign.id, C.COMPLETED)
        world.run()
        world.check_counters(campaign.id)
        return world.end_state(campaign.id)

    check_every_death(run)


def canaries_of(world: CampaignWorld, **targets: Any) -> set[str]:
    campaign = world.post(targets={"query": NORTH, **targets}, waves=[{"count": 3}, {"rest": True}])
    world.run_until(campaign.id, C.COMPLETED)
    world.run()
    return {row.device for row in world.rollouts.rows(campaign.id).values() if row.wave == 1}


def test_canaries_differ_from_campaign_to_campaign_unless_they_are_to_be_the_same() -> None:
    world = CampaignWorld(fleet(200))
    rotating = [canaries_of(world) for _ in range(4)]
    fixed = [canaries_of(world, canaries="fixed") for _ in range(3)]
    assert len({frozenset(devices) for devices in rotating}) > 1
    assert fixed[0] == fixed[1] == fixed[2]


def test_devices_that_run_the_version_are_skipped_as_current_and_counted_by_themselves() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    busy = world.post(targets={"devices": ["dev-14"]})
    world.run_until(busy.id, C.RUNNING)
    confirm(world, ["dev-15", "dev-16"])
    report(world, ["dev-15", "dev-16"])
    campaign = world.post(name="second")
    found = world.run_until(campaign.id, C.RUNNING)
    assert (found.planning.skipped, found.planning.current) == (1, 2)
    assert rows_of(world, campaign)["dev-15"] == (S.SKIPPED, "current")
    assert rows_of(world, campaign)["dev-14"] == (S.SKIPPED, f"held_by:{busy.id}")
    records = world.device_rows.read_batch([DeviceId("dev-15")])
    assert records[DeviceId("dev-15")].value.held_by is None
    world.check_counters(campaign.id)


def test_a_device_whose_twin_tells_of_another_version_is_not_skipped() -> None:
    """The row remembers the last rollout; somebody set the device back by hand since."""
    world = CampaignWorld(["back", "same", "gone"])
    confirm(world, ["back", "same", "gone"])
    report(world, ["back"], "1.0.0")
    report(world, ["same"])
    campaign = world.post()
    done = world.run_until(campaign.id, C.COMPLETED)
    assert done.planning.current == 1
    assert rows_of(world, campaign) == {
        "back": (S.SUCCEEDED, ""),
        "same": (S.SKIPPED, "current"),
        "gone": (S.SUCCEEDED, ""),
    }
    assert done.reason == "all 1 waves passed; 1 of 3 devices ran the version already"


def test_a_device_confirmed_with_another_version_costs_no_twin_read() -> None:
    world = CampaignWorld(["a"])
    confirm(world, ["a"], "1.9.0")
    campaign = world.post()
    assert world.run_until(campaign.id, C.COMPLETED).planning.current == 0
    assert not world.twins.reads


def test_many_current_devices_take_several_steps_and_each_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_devices, "CONFIRMATIONS", 40)
    devices = fleet(400)
    life = Life()

    def run(life: Life) -> tuple[int, int, dict[str, Any]]:
        world = CampaignWorld(devices, life=life, shards=1)
        confirm(world, devices[:300])
        report(world, devices[:300])
        try:
            campaign = world.post(key="once")
        except Died:
            campaign = world.post(key="once")
        world.run_until(campaign.id, C.COMPLETED)
        world.run()
        world.check_counters(campaign.id)
        planning = world.campaign(campaign.id).planning
        return planning.current, planning.skipped, world.end_state(campaign.id)

    expected = run(life)
    assert expected[:2] == (300, 0)
    for left in range(life.writes):
        assert run(Life(left=left)) == expected, f"died at write {left}"


@pytest.mark.parametrize("error", [Throttled("429"), QuotaExceeded("403002")])
def test_twins_that_cannot_be_read_now_hold_the_planning_up_and_nothing_else(error: Exception) -> None:
    world = CampaignWorld(fleet(30))
    confirm(world, ["dev-15"])
    report(world, ["dev-15"])
    world.twins.failures.append(error)
    campaign = world.post()
    if isinstance(error, QuotaExceeded):
        assert "daily message quota" in world.run_until(campaign.id, C.PAUSED).reason
        world.act(campaign.id, "resume")
    done = world.run_until(campaign.id, C.COMPLETED)
    assert (done.planning.current, world.refused) == (1, [])
