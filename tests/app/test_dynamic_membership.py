"""Devices that begin to match a dynamic campaign's query join its last wave, behind every gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.ids import CampaignId
from shared.domain.rollouts import RolloutState
from shared.domain.waves import WaveState
from shared.handlers import join_newcomers as joining
from shared.handlers.close_membership import close_membership
from shared.handlers.keep_groups import GroupPorts, put_group
from shared.ports.errors import Throttled, Unavailable
from shared.wire.http_fields import InvalidRequest
from tests.app.test_edit_waves import edit
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died, Faults, Life

C, S = CampaignState, RolloutState
NORTH = "SELECT * FROM devices WHERE tags.site = 'north'"
LAB = "SELECT * FROM devices WHERE tags.lab = true"
DYNAMIC = {"query": NORTH, "membership": "dynamic", "relist_s": 300}
WAVES = [{"count": 2}, {"rest": True}]


def post(world: CampaignWorld, **fields: Any) -> Campaign:
    return surviving(lambda: world.post(key="once", **({"targets": DYNAMIC, "waves": WAVES} | fields)))


def surviving[T](deed: Callable[[], T]) -> T:
    try:
        return deed()
    except Died:
        return deed()


def close(world: CampaignWorld, campaign: CampaignId) -> Campaign:
    return close_membership(campaign, world.ports, who="grace", now=world.now)


def states(world: CampaignWorld, campaign: Campaign) -> dict[str, tuple[int, S]]:
    return {row.device: (row.wave, row.state) for row in world.rollouts.rows(campaign.id).values()}


def is_open_wave(world: CampaignWorld, campaign: Campaign, number: int) -> bool:
    waves = world.campaign(campaign.id).waves
    return bool(waves) and waves[number - 1].state is WaveState.RUNNING


def run_until_a_page_waits(world: CampaignWorld, campaign: Campaign) -> None:
    """Run until newcomers are found, while nobody can join."""

    def nobody_joins(*_: Any) -> int:
        raise Unavailable("the tables do not answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "_join", nobody_joins)
        world.run(lambda: world.campaign(campaign.id).newcomers.page is not None)
    assert world.campaign(campaign.id).newcomers.page is not None


def find(world: CampaignWorld, *devices: str) -> None:
    """From now on the query finds these as well."""
    world.directory.devices += devices  # type: ignore[arg-type]


def test_newcomers_join_the_last_wave_and_the_campaign_goes_on_until_somebody_closes_it() -> None:
    world = CampaignWorld(fleet(150), page_size=40)
    campaign = post(world)
    world.run(hours=2)
    assert (world.campaign(campaign.id).state, is_open_wave(world, campaign, 2)) == (C.RUNNING, True)
    find(world, *(f"new-{number}" for number in range(120)))
    world.run(hours=2)
    found = world.campaign(campaign.id)
    assert (found.targets, found.newcomers.joined, found.waves[1].devices) == (270, 120, 268)
    assert set(states(world, campaign).values()) == {(1, S.SUCCEEDED), (2, S.SUCCEEDED)}
    world.check_counters(campaign.id)

    for _ in range(2):
        close(world, campaign.id)
    find(world, "too-late")
    done = world.run_until(campaign.id, C.COMPLETED)
    assert "too-late" not in states(world, campaign)
    assert done.reason == "all 2 waves passed"
    deeds = [entry.what for entry in world.audit.read(campaign.id)]
    assert deeds.count("close-membership") == 1
    assert "join" in deeds


def test_newcomers_wait_behind_the_gate_of_a_wave_that_goes_on_and_of_one_that_stopped() -> None:
    """They never join a wave that has passed, nor get an offer while a gate is closed."""
    world = CampaignWorld(fleet(20), outcome=lambda device: S.FAILED if device == "dev-3" else S.SUCCEEDED)
    campaign = post(world, waves=[{"count": 2, "gate": {"soak_s": 1800}}, {"rest": True, "gate": {"failure_count": 1}}])
    world.run(lambda: bool(world.campaign(campaign.id).waves) and bool(world.campaign(campaign.id).waves[0].soak_until))
    find(world, "early")
    world.run(lambda: "early" in states(world, campaign))
    assert states(world, campaign)["early"] == (2, S.PLANNED)
    world.check_counters(campaign.id)

    stopped = world.run_until(campaign.id, C.PAUSED)
    assert "stopped" in stopped.reason
    find(world, "late")
    world.run(hours=1)
    assert "late" not in states(world, campaign)
    world.act(campaign.id, "resume")
    world.run(lambda: states(world, campaign).get("late") == (2, S.SUCCEEDED))
    assert world.campaign(campaign.id).waves[0].devices == 2
    world.check_counters(campaign.id)


def test_those_who_joined_a_wave_that_has_begun_make_nobody_approve_it_once_more() -> None:
    world = CampaignWorld(fleet(20))
    campaign = post(world, waves=[{"rest": True}], approval={"required": 1})
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    world.act(campaign.id, "approve")
    world.run(hours=1)
    find(world, "new-1")
    world.run(lambda: world.campaign(campaign.id).newcomers.joined == 1)
    world.act(campaign.id, "pause")
    assert world.act(campaign.id, "resume").state is C.RUNNING


def test_who_closes_a_campaign_that_was_cancelled_is_told_what_fits() -> None:
    world = CampaignWorld(fleet(20))
    campaign = post(world)
    world.run(lambda: bool(world.campaign(campaign.id).waves))
    world.act(campaign.id, "cancel")
    with pytest.raises(Conflict, match=r"is aborted: closing it does not fit, these actions do: .*force-cancel"):
        close(world, campaign.id)


def test_excluded_devices_do_not_join_and_nobody_joins_twice() -> None:
    world = CampaignWorld(fleet(20))
    world.directory.answers[LAB] = ["dev-0", "new in the lab"]
    campaign = post(world, targets=DYNAMIC | {"exclude": {"devices": ["named"], "query": LAB}})
    world.run(lambda: bool(world.campaign(campaign.id).waves))
    find(world, "dev-1", "named", "new", "new in the lab")
    world.run(hours=2)
    assert states(world, campaign).keys() == {*fleet(20), "new"} - {"dev-0"}
    assert world.campaign(campaign.id).newcomers.joined == 1
    world.check_counters(campaign.id)


def test_a_throttled_or_refused_look_is_taken_up_again() -> None:
    world = CampaignWorld(fleet(20))
    campaign = post(world)
    world.run(lambda: is_open_wave(world, campaign, 2))
    find(world, "new")
    world.directory.failures += [Throttled("429")] * 3
    world.run(hours=1)
    assert states(world, campaign)["new"] == (2, S.SUCCEEDED)


def test_waves_with_newcomers_can_be_edited_once_they_have_joined() -> None:
    world = CampaignWorld(fleet(40))
    campaign = post(world, waves=[{"count": 2, "gate": {"soak_s": 7200}}, {"rest": True}])
    world.run(lambda: bool(world.campaign(campaign.id).waves) and bool(world.campaign(campaign.id).waves[0].soak_until))
    find(world, *(f"new-{number}" for number in range(9)))
    run_until_a_page_waits(world, campaign)
    world.act(campaign.id, "pause")
    with pytest.raises(Conflict, match="devices are joining it"):
        edit(world, campaign.id, [{"count": 20}, {"rest": True}])
    world.run(lambda: world.campaign(campaign.id).newcomers.page is None)
    edited = edit(world, campaign.id, [{"count": 20}, {"rest": True}])
    assert [wave.devices for wave in edited.waves] == [2, 20, 27]
    world.act(campaign.id, "resume")
    find(world, "last")
    world.run(hours=8)
    assert len(states(world, campaign)) == 50
    assert {state for _, state in states(world, campaign).values()} == {S.SUCCEEDED}
    world.check_counters(campaign.id)


def test_only_a_group_of_a_query_can_be_dynamic() -> None:
    world = CampaignWorld()
    ports = GroupPorts(groups=world.groups, audit=world.audit)
    put_group("north", ports, query="", list_name="n.txt", who="ada", now=world.now)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=r"targets\.membership: the group north is a list"):
        world.post(targets={"group": "north", "membership": "dynamic"})


def joined_run(life: Life, then: str, faults: Faults | None = None) -> dict[str, Any]:
    world = CampaignWorld(fleet(40), life=life, faults=faults, page_size=25)
    campaign = post(world)
    world.run(lambda: is_open_wave(world, campaign, 2))
    find(world, *(f"new-{number}" for number in range(30)))
    run_until_a_page_waits(world, campaign)
    if then != "close":
        surviving(lambda: world.act(campaign.id, then))
    world.run(lambda: world.campaign(campaign.id).newcomers.joined >= (30 if then == "close" else 1), hours=4)
    if then == "close":
        surviving(lambda: close(world, campaign.id))
    world.run(hours=4)
    world.check_counters(campaign.id)
    end = world.end_state(campaign.id)
    assert {row[3] for row in end["rows"]} <= {S.SUCCEEDED, S.CANCELLED}
    assert {held for *_, held in end["devices"]} == {""}
    return end


@pytest.mark.parametrize("then", ["close", "cancel", "revert"])
@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_a_death_at_any_write_of_joining_ends_with_the_same_devices(then: str, dies_after_the_write: bool) -> None:
    """I3, I4: closed when all have joined, or cancelled while a page of them waits, whose devices are let go again."""
    life = Life()
    expected = joined_run(life, then)
    devices = [row[0] for row in expected["rows"]]
    assert len(devices) == 70
    for left in range(life.writes):
        end = joined_run(Life(left=left, dies_after_the_write=dies_after_the_write), then)
        assert end["campaign"][0] == expected["campaign"][0], f"write {left}"
        if then == "close":
            assert [row[0] for row in end["rows"]] == devices, f"write {left}"


@pytest.mark.parametrize("seed", range(4))
def test_joining_bears_repeated_lost_and_reordered_messages(seed: int) -> None:
    faults = Faults(duplicated=0.3, dropped=0.2, reordered=True, seed=seed)
    assert len(joined_run(Life(), "close", faults)["rows"]) == 70


def all_lost() -> tuple[CampaignWorld, Campaign]:
    """A dynamic campaign whose first devices were deleted before they had ended."""
    lost = frozenset(fleet(4))
    world = CampaignWorld(fleet(4), outcome=lambda device: S.SKIPPED if device in lost else S.SUCCEEDED)
    world.describe = lambda row: replace(row, code="device_deleted") if row.state is S.SKIPPED else row
    campaign = post(world, waves=[{"rest": True}])
    world.run(hours=1)
    assert {state for _, state in states(world, campaign).values()} == {S.SKIPPED}
    return world, campaign


def test_a_wave_whose_devices_are_all_lost_waits_for_newcomers() -> None:
    """Stopped, it could never go on: nobody joins a campaign that is paused."""
    world, campaign = all_lost()
    assert (world.campaign(campaign.id).state, is_open_wave(world, campaign, 1)) == (C.RUNNING, True)
    find(world, "new")
    world.run(hours=1)
    assert states(world, campaign)["new"] == (1, S.SUCCEEDED)
    close(world, campaign.id)
    world.run_until(campaign.id, C.COMPLETED)
    world.check_audit(campaign.id)


def test_a_wave_whose_devices_are_all_lost_stops_once_nobody_joins_any_more() -> None:
    world, campaign = all_lost()
    close(world, campaign.id)
    assert "nobody tried the package" in world.run_until(campaign.id, C.PAUSED).reason
    world.check_audit(campaign.id)


def test_a_wave_that_other_campaigns_took_all_devices_of_waits_for_newcomers() -> None:
    world = CampaignWorld(fleet(4), outcome=lambda device: S.SUCCEEDED if device == "new" else S.CANCELLED)
    campaign = post(world, waves=[{"rest": True}])
    world.run(hours=1)
    assert {state for _, state in states(world, campaign).values()} == {S.CANCELLED}
    assert (world.campaign(campaign.id).state, is_open_wave(world, campaign, 1)) == (C.RUNNING, True)
    find(world, "new")
    world.run(hours=1)
    assert states(world, campaign)["new"] == (1, S.SUCCEEDED)
