"""Adding waves by filter while paused: the filters are listed first, and until then nothing has changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.hub_queries import narrow_query, query_where
from shared.domain.ids import CampaignId
from shared.domain.planning import PlanningPhase
from shared.domain.rollouts import RolloutState
from shared.ports.errors import QuotaExceeded, Throttled
from shared.wire.http_fields import InvalidRequest
from tests.app.test_edit_waves import act, edit, is_moved, paused, surviving
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Life

C, S, P = CampaignState, RolloutState, PlanningPhase
NORTH = "SELECT * FROM devices WHERE tags.site = 'north'"
BETA, VIP = "tags.ring = 'beta'", "tags.vip = true"
NOW_GATED = {"soak_s": 0}
ADDED = [{"filter": BETA, "name": "beta"}, {"percent": 50}, {"filter": VIP}, {"name": "all", "rest": True}]


def scene(life: Life | None = None, size: int = 150) -> tuple[CampaignWorld, Campaign]:
    """A paused campaign by query over a fleet with two rings, one device of which is in both."""
    world = CampaignWorld(fleet(size), life=life, page_size=2)
    world.directory.answers[NORTH] = fleet(size)
    world.directory.answers[narrow_query(NORTH, BETA)] = [*fleet(size)[20:25], "elsewhere"]
    world.directory.answers[narrow_query(NORTH, VIP)] = [*fleet(size)[24:27]]
    return world, paused(world, targets={"query": NORTH})


def ask(world: CampaignWorld, campaign: CampaignId, waves: list[dict[str, Any]] | None = None) -> Campaign:
    return edit(world, campaign, ADDED if waves is None else waves, gate=NOW_GATED)


def waves_of(world: CampaignWorld, campaign: Campaign) -> dict[str, int]:
    return {row.device: row.wave for row in world.rollouts.rows(campaign.id).values()}


def deeds(world: CampaignWorld, campaign: Campaign) -> list[tuple[str, str]]:
    edits = ("ask-waves", "edit-waves", "drop-edit")
    return [(entry.who, entry.what) for entry in world.audit.read(campaign.id) if entry.what in edits]


def test_waves_by_new_filters_are_added_once_their_devices_are_listed() -> None:
    """I3, I5, I9: who has begun stays; a device that meets several filters is in the first of their waves."""
    world, campaign = scene()
    begun = {device for device, wave in waves_of(world, campaign).items() if wave == 1}
    asked = ask(world, campaign.id)
    assert (asked.planning.phase, asked.waves, asked.spec) == (P.FILTERING, campaign.waves, campaign.spec)
    assert ask(world, campaign.id) == asked
    with pytest.raises(Conflict, match=r"planning is not done \(filtering\)"):
        edit(world, campaign.id, [{"rest": True}])
    world.run(lambda: is_moved(world, campaign.id))
    edited, places = world.campaign(campaign.id), waves_of(world, campaign)
    beta = set(fleet(150)[20:25]) - begun
    vip = set(fleet(150)[25:27]) - begun
    assert {device for device, wave in places.items() if wave == 2} == beta
    assert {device for device, wave in places.items() if wave == 4} == vip
    shared = 150 - len(beta) - len(vip)
    assert [wave.devices for wave in edited.waves][:3] == [10, len(beta), -(-shared // 2)]
    assert sum(wave.devices for wave in edited.waves) == 150
    assert {device for device, wave in places.items() if wave == 1} == begun
    assert (edited.state, edited.reason, edited.wave_edit) == (C.PAUSED, campaign.reason, None)
    world.ports.specs.check(edited)
    world.check_counters(campaign.id)
    assert deeds(world, campaign) == [("grace", "ask-waves"), ("grace", "edit-waves")]
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    assert [number for _, number in world.starts] == [1, 2, 3, 4, 5]
    world.check_counters(campaign.id)
    world.check_audit(campaign.id)


def test_filters_of_a_campaign_over_a_list_are_asked_of_the_whole_fleet() -> None:
    world = CampaignWorld()
    campaign = paused(world, targets={"devices": fleet(40)})
    pending = [device for device, wave in waves_of(world, campaign).items() if wave > 1]
    world.directory.answers[query_where(BETA)] = [*pending[:3], "elsewhere"]
    ask(world, campaign.id, [{"filter": BETA}, {"rest": True}])
    world.run(lambda: is_moved(world, campaign.id))
    assert [wave.devices for wave in world.campaign(campaign.id).waves] == [10, 3, 27]
    assert {device for device, wave in waves_of(world, campaign).items() if wave == 2} == set(pending[:3])
    world.check_counters(campaign.id)


def edited_run(life: Life, then: str) -> dict[str, Any]:
    world, campaign = scene(life, size=60)
    surviving(lambda: ask(world, campaign.id))
    act(world, campaign.id, then)
    world.run_until(campaign.id, C.COMPLETED, C.ABORTED)
    world.run(lambda: is_moved(world, campaign.id) and not world.campaign(campaign.id).walks)
    world.run()
    world.check_counters(campaign.id)
    end = world.end_state(campaign.id)
    assert {held for *_, held in end["devices"]} == {""}
    return end


@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_a_death_at_any_write_ends_in_the_same_waves(dies_after_the_write: bool) -> None:
    """I3, I4: resumed before a single page is listed; the waves are cut first all the same."""
    life = Life()
    expected = edited_run(life, "resume")
    assert len(expected["waves"]) == 5
    # Every second write each: before this one, after the next.
    for left in range(dies_after_the_write, life.writes, 2):
        end = edited_run(Life(left=left, dies_after_the_write=dies_after_the_write), "resume")
        assert end == expected, f"died at write {left}"


def test_a_campaign_cancelled_before_the_filters_are_listed_keeps_its_waves_and_lets_its_devices_go() -> None:
    life = Life()
    expected = edited_run(life, "cancel")
    assert (len(expected["waves"]), expected["campaign"][0]) == (3, C.ABORTED)
    for left in range(0, life.writes, 3):
        assert edited_run(Life(left=left), "cancel") == expected, f"died at write {left}"


@pytest.mark.parametrize("state", [C.PAUSED, C.COMPLETED])
@pytest.mark.parametrize(
    ("filters", "complaint"),
    [("tags.ring = 'BROKEN'", "the IoT Hub refuses the query"), ("tags.ring = 'none'", "no target is left for wave 2")],
)
def test_a_filter_that_cannot_be_had_leaves_the_waves_as_they_were(
    filters: str, complaint: str, state: CampaignState
) -> None:
    """Resumed meanwhile, the campaign goes on with them."""
    world, campaign = scene()
    world.directory.answers[narrow_query(NORTH, filters)] = []
    ask(world, campaign.id, [{"filter": filters}, {"rest": True}])
    if state is C.COMPLETED:
        world.act(campaign.id, "resume")
    world.run(lambda: is_moved(world, campaign.id))
    kept = world.campaign(campaign.id)
    assert (kept.spec, kept.wave_edit) == (campaign.spec, None)
    assert [wave.spec for wave in kept.waves] == [wave.spec for wave in campaign.waves]
    assert "its waves stay as they were" in kept.reason
    assert complaint in kept.reason
    assert deeds(world, campaign) == [("grace", "ask-waves"), ("service", "drop-edit")]
    world.ports.specs.check(kept)
    if state is C.PAUSED:
        ask(world, campaign.id)
        world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    world.check_counters(campaign.id)


def test_a_throttled_listing_waits_and_a_used_up_quota_gives_the_edit_up() -> None:
    """I6."""
    world, campaign = scene()
    world.directory.failures = [Throttled("429"), Throttled("429", retry_after_s=30)]
    ask(world, campaign.id)
    world.run(lambda: is_moved(world, campaign.id))
    assert len(world.campaign(campaign.id).waves) == 5
    world, campaign = scene()
    world.directory.failures = [QuotaExceeded("403002")]
    ask(world, campaign.id)
    world.run(lambda: is_moved(world, campaign.id))
    assert "daily message quota" in world.campaign(campaign.id).reason
    assert len(world.campaign(campaign.id).waves) == 3


def test_an_edit_that_somebody_else_wrote_into_the_row_is_not_signed() -> None:
    world, campaign = scene()
    ask(world, campaign.id)
    stored = world.campaigns.get(campaign.id)
    edit_ = stored.value.wave_edit
    assert edit_ is not None
    forged = replace(edit_, waves=(replace(edit_.waves[0], name="mine"), *edit_.waves[1:]))
    world.campaigns.save(replace(stored, value=replace(stored.value, wave_edit=forged)))
    world.run(lambda: is_moved(world, campaign.id))
    kept = world.campaign(campaign.id)
    assert (kept.spec, "not the one that was signed" in kept.reason) == (campaign.spec, True)


def test_waves_that_would_leave_devices_over_if_nobody_met_a_filter_are_refused_at_once() -> None:
    world, campaign = scene()
    with pytest.raises(InvalidRequest, match="the waves hold 5 of 140 targets"):
        ask(world, campaign.id, [{"filter": BETA}, {"count": 5}])
    assert world.campaign(campaign.id) == campaign


@pytest.mark.parametrize("wave", [2, 3])
def test_no_wave_that_is_about_to_be_cut_anew_is_skipped(wave: int) -> None:
    """The waves that were asked for would be cut from others than those that somebody looked at, or from none."""
    world, campaign = scene()
    ask(world, campaign.id)
    with pytest.raises(Conflict, match="about to be cut anew: try again in a moment"):
        world.act(campaign.id, "skip-wave", wave=wave)
    with pytest.raises(Conflict, match="being cut anew: try again in a moment"):
        world.act(campaign.id, "revert")
    world.act(campaign.id, "skip-wave", wave=1)
    world.run(lambda: is_moved(world, campaign.id))
    world.act(campaign.id, "skip-wave", wave=wave)
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    world.check_counters(campaign.id)
