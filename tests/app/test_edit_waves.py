"""Editing the pending waves of a paused campaign: rows move, counters follow, and nothing is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.hub_queries import query_where
from shared.domain.ids import CampaignId, shard_of
from shared.domain.planning import PlanningPhase
from shared.domain.rollouts import RolloutState, move
from shared.domain.waves import WaveState
from shared.handlers.edit_waves import edit_waves
from shared.ports.rollouts import RolloutChange
from shared.wire.http_fields import InvalidRequest
from shared.wire.http_wave_edits import read_waves_request
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died, Life

C, S = CampaignState, RolloutState
SOAKS = {"soak_s": 3600}
WAVES = [{"name": "canary", "count": 10, "gate": SOAKS}, {"percent": 20, "gate": SOAKS}, {"rest": True, "gate": SOAKS}]
RESIZED = [{"name": "tenth", "percent": 10}, {"count": 75}, {"name": "late", "rest": True}]
CANARY = "tags.ring = 'canary'"


def edit(
    world: CampaignWorld, campaign: CampaignId, waves: list[dict[str, Any]], who: str = "grace", **more: Any
) -> Campaign:
    request = read_waves_request(json.dumps({"waves": waves, **more}).encode())
    return edit_waves(campaign, request, world.ports, who=who, now=world.now)


def paused(world: CampaignWorld, **fields: Any) -> Campaign:
    """A campaign paused by its operator while the first wave soaks."""
    campaign = post(world, **fields)
    world.run(lambda: world.campaign(campaign.id).waves[:1] != () and is_soaking(world, campaign.id))
    act(world, campaign.id, "pause")
    return world.campaign(campaign.id)


def is_soaking(world: CampaignWorld, campaign: CampaignId) -> bool:
    return world.campaign(campaign).waves[0].state is WaveState.SOAKING


def post(world: CampaignWorld, **fields: Any) -> Campaign:
    return surviving(lambda: world.post(key="once", **({"waves": WAVES} | fields)))


def act(world: CampaignWorld, campaign: CampaignId, action: str) -> Campaign:
    return surviving(lambda: world.act(campaign, action))


def surviving[T](deed: Callable[[], T]) -> T:
    try:
        return deed()
    except Died:
        return deed()


def is_moved(world: CampaignWorld, campaign: CampaignId) -> bool:
    return world.campaign(campaign).planning.phase is PlanningPhase.DONE


def test_pending_waves_are_resized_and_added_and_their_rows_follow() -> None:
    """I3: each device stays in exactly one wave, and those whose wave has begun stay where they are."""
    world = CampaignWorld(fleet(300))
    campaign = paused(world)
    canaries = {row.device for row in world.rollouts.rows(campaign.id).values() if row.wave == 1}
    edited = edit(world, campaign.id, RESIZED)
    assert [(wave.spec.name, wave.devices) for wave in edited.waves] == [
        ("canary", 10),
        ("tenth", 30),
        ("wave 3", 75),
        ("late", 185),
    ]
    world.run(lambda: is_moved(world, campaign.id))
    assert world.campaign(campaign.id).state is C.PAUSED
    world.check_counters(campaign.id)
    assert {row.device for row in world.rollouts.rows(campaign.id).values() if row.wave == 1} == canaries
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    assert {row.state for row in world.rollouts.rows(campaign.id).values()} == {S.SUCCEEDED}
    assert [number for _, number in world.starts] == [1, 2, 3, 4]
    world.check_counters(campaign.id)


def test_an_edit_is_signed_with_who_asked_and_audited_once_however_often_it_is_sent() -> None:
    """I9."""
    world = CampaignWorld(fleet(60))
    campaign = paused(world)
    edit(world, campaign.id, RESIZED[:1] + RESIZED[2:])
    again = edit(world, campaign.id, RESIZED[:1] + RESIZED[2:])
    revision = again.spec.targeting.revision
    assert (revision.number, revision.by, revision.at) == (1, "grace", world.now)
    assert again.spec_signature != campaign.spec_signature
    world.ports.specs.check(again)
    deeds = [(entry.who, entry.detail) for entry in world.audit.read(campaign.id) if entry.what == "edit-waves"]
    assert deeds == [("grace", "2 (wave 2): 12, 3 (wave 3): 38 became 2 (tenth): 6, 3 (late): 44")]


def test_pending_waves_are_removed_and_their_devices_go_to_those_that_stay() -> None:
    """I3."""
    world = CampaignWorld(fleet(150))
    campaign = paused(world, waves=[*WAVES[:2], {"percent": 30, "gate": SOAKS}, WAVES[2]])
    edited = edit(world, campaign.id, [{"name": "everybody", "rest": True, "gate": {"soak_s": 0}}])
    assert [(wave.spec.name, wave.devices) for wave in edited.waves] == [("canary", 10), ("everybody", 140)]
    world.run(lambda: is_moved(world, campaign.id))
    world.check_counters(campaign.id)
    assert {row.wave for row in world.rollouts.rows(campaign.id).values()} == {1, 2}
    again = edit(world, campaign.id, [{"count": 20}, {"percent": 50}, {"rest": True}])
    assert [wave.devices for wave in again.waves] == [10, 20, 75, 45]
    world.run(lambda: is_moved(world, campaign.id))
    world.check_counters(campaign.id)
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    assert [number for _, number in world.starts] == [1, 2, 3, 4]
    world.check_counters(campaign.id)
    world.check_audit(campaign.id)


def test_a_wave_without_a_gate_keeps_the_gate_that_stood_in_its_place() -> None:
    world = CampaignWorld(fleet(60))
    campaign = paused(world)
    gates = [wave.spec.gate for wave in campaign.waves]
    renamed = edit(world, campaign.id, [{"name": "half", "percent": 20, "gate": {"failure_count": 3}}, {"rest": True}])
    assert renamed.waves[1].spec.gate.failure_count == 3
    assert renamed.waves[2].spec.gate == gates[2]


def test_filters_can_be_kept_or_dissolved() -> None:
    world = CampaignWorld(fleet(60))
    tagged = ["dev-1", "dev-2", "dev-3"]
    world.directory.answers[query_where(CANARY)] = tagged
    waves = [{"count": 5, "gate": SOAKS}, {"filter": CANARY}, {"rest": True}]
    campaign = paused(world, targets={"devices": fleet(60)}, waves=waves)
    edit(world, campaign.id, [{"percent": 50}, {"filter": CANARY}, {"rest": True}])
    world.run(lambda: is_moved(world, campaign.id))
    waves_of = {row.device: row.wave for row in world.rollouts.rows(campaign.id).values()}
    assert {device for device, wave in waves_of.items() if wave == 3} == set(tagged)
    # Half of the 57 targets that no filter takes, as when it is posted.
    assert [wave.devices for wave in world.campaign(campaign.id).waves] == [5, 29, 3, 23]
    world.check_counters(campaign.id)
    edit(world, campaign.id, [{"count": 20}, {"count": 20}, {"rest": True}])
    world.run(lambda: is_moved(world, campaign.id))
    assert [wave.devices for wave in world.campaign(campaign.id).waves] == [5, 20, 20, 15]
    world.check_counters(campaign.id)


@pytest.mark.parametrize(
    ("waves", "complaint"),
    [
        ([{"count": 1}, {"count": 1}], "the waves hold 2 of 50 targets; end with a wave of the rest"),
        ([{"rest": True}, {"count": 1}], "waves.0.rest: only the last wave"),
        ([{"count": 1}] * 49 + [{"rest": True}], "waves: 51 waves with those that have begun, at most 50"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(waves: list[dict[str, Any]], complaint: str) -> None:
    world = CampaignWorld(fleet(60))
    campaign = paused(world)
    with pytest.raises(InvalidRequest) as refusal:
        edit(world, campaign.id, waves)
    assert refusal.value.message.startswith(complaint)
    assert world.campaign(campaign.id) == campaign


def test_waves_are_edited_only_while_the_campaign_is_paused_and_planned() -> None:
    world = CampaignWorld(fleet(60))
    campaign = post(world)
    with pytest.raises(Conflict, match="it is planning"):
        edit(world, campaign.id, RESIZED)
    world.act(campaign.id, "pause")
    with pytest.raises(Conflict, match="its planning is not done"):
        edit(world, campaign.id, RESIZED)
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    with pytest.raises(Conflict, match=r"it is completed, .* these actions do: .*revert") as refusal:
        edit(world, campaign.id, RESIZED)
    assert refusal.value.code == "action_does_not_fit"


def test_an_edit_does_not_sign_what_somebody_else_wrote_into_the_row() -> None:
    world = CampaignWorld(fleet(60))
    campaign = paused(world)
    stored = world.campaigns.get(campaign.id)
    world.campaigns.save(
        replace(stored, value=replace(stored.value, spec=replace(stored.value.spec, allow_downgrade=True)))
    )
    with pytest.raises(Conflict, match="cannot be edited"):
        edit(world, campaign.id, RESIZED)


def test_a_second_edit_waits_for_the_rows_of_the_first() -> None:
    world = CampaignWorld(fleet(60))
    campaign = paused(world)
    edit(world, campaign.id, RESIZED[:1] + RESIZED[2:])
    with pytest.raises(Conflict, match=r"its planning is not done \(cutting\)"):
        edit(world, campaign.id, RESIZED)


def test_a_device_deleted_while_the_rows_move_is_skipped_in_its_new_wave() -> None:
    """Its row changes between the read and the write of a move: the move comes again with what it is now."""
    world = CampaignWorld(fleet(60), shards=1)
    campaign = paused(world)
    edit(world, campaign.id, RESIZED[:1] + RESIZED[2:])
    world.run(lambda: world.campaign(campaign.id).planning.phase is PlanningPhase.MOVING)
    device = next(row for row in world.rollouts.rows(campaign.id).values() if row.wave == 2)

    def delete() -> None:
        row = world.rollouts.read_devices(campaign.id, shard_of(device.device, 1), [device.device])[device.device]
        change = RolloutChange(before=row, after=move(row.value, S.SKIPPED, now=world.now, code="device_deleted"))
        world.rollouts.write(campaign.id, 0, [change])

    read, deleted = world.rollouts.read_devices, []

    def read_then_delete(*args: Any) -> Any:
        rows = read(*args)
        if not deleted:
            deleted.append(device)
            world.rollouts.read_devices = read  # type: ignore[method-assign]
            delete()
        return rows

    world.rollouts.read_devices = read_then_delete  # type: ignore[method-assign]
    world.run(lambda: is_moved(world, campaign.id))
    assert world.rollouts.rows(campaign.id)[device.device].state is S.SKIPPED
    world.check_counters(campaign.id)


def edited_run(life: Life, then: str, waves: list[dict[str, Any]] = RESIZED) -> dict[str, Any]:
    world = CampaignWorld(fleet(150), life=life)
    campaign = paused(world)
    surviving(lambda: edit(world, campaign.id, waves))
    act(world, campaign.id, then)
    world.run_until(campaign.id, C.COMPLETED, C.ABORTED)
    world.run(lambda: is_moved(world, campaign.id) and not world.campaign(campaign.id).walks)
    world.run()
    world.check_counters(campaign.id)
    assert {row.state for row in world.rollouts.rows(campaign.id).values()} <= {S.SUCCEEDED, S.CANCELLED}
    end = world.end_state(campaign.id)
    assert {held for *_, held in end["devices"]} == {""}
    return end


@pytest.mark.parametrize("then", ["resume", "cancel"])
@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_a_death_at_any_write_of_an_edit_ends_in_the_same_waves(then: str, dies_after_the_write: bool) -> None:
    """I3, I4: resumed or cancelled before a single row has moved; the rows move first all the same."""
    life = Life()
    expected = edited_run(life, then)
    assert [(number, stop - start) for number, _, start, stop, _ in expected["waves"]] == [
        (1, 10),
        (2, 15),
        (3, 75),
        (4, 50),
    ]
    for left in range(life.writes):
        assert edited_run(Life(left=left, dies_after_the_write=dies_after_the_write), then) == expected, f"write {left}"


@pytest.mark.parametrize("then", ["resume", "cancel"])
def test_a_death_at_any_write_of_an_edit_that_removes_a_wave_ends_in_the_same_waves(then: str) -> None:
    """I3, I4."""
    life, fewer = Life(), [{"name": "all", "rest": True, "gate": {"soak_s": 0}}]
    expected = edited_run(life, then, fewer)
    assert [(number, stop - start) for number, _, start, stop, _ in expected["waves"]] == [(1, 10), (2, 140)]
    for left in range(0, life.writes, 4):
        assert edited_run(Life(left=left), then, fewer) == expected, f"write {left}"


def test_a_campaign_that_people_approved_needs_them_again_for_other_waves() -> None:
    """What was approved was the plan as it stood."""
    world = CampaignWorld(fleet(60))
    campaign = post(world, approval={"required": 1})
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    world.act(campaign.id, "approve", who="oid:lin")
    world.run(lambda: is_soaking(world, campaign.id))
    world.act(campaign.id, "pause")
    edit(world, campaign.id, RESIZED[:1] + RESIZED[2:])
    world.act(campaign.id, "resume")
    asked = world.run_until(campaign.id, C.AWAITING_APPROVAL)
    assert asked.waves[0].state is not WaveState.PENDING
    world.act(campaign.id, "approve", who="oid:lin")
    world.run_until(campaign.id, C.COMPLETED)
    world.check_counters(campaign.id)


@pytest.mark.parametrize(
    ("waves", "complaint"),
    [
        ([{"count": 20, "gate": {"minimum_completed": 21}}, {"rest": True}], "waves.0.gate.minimum_completed: 21"),
        ([{"percent": 20}, {"rest": True, "gate": {"minimum_completed": 121}}], "waves.1.gate.minimum_completed: 121"),
        ([{"percent": 60}, {"percent": 60}], "waves: the percentages add up to 120"),
    ],
)
def test_an_edit_is_refused_what_a_new_campaign_is(waves: list[dict[str, Any]], complaint: str) -> None:
    world = CampaignWorld(fleet(150))
    before = paused(world)
    with pytest.raises(InvalidRequest, match=complaint):
        edit(world, before.id, waves)
    assert world.campaign(before.id) == before


def test_an_edit_cannot_have_a_gate_stop_before_a_cohort_shows() -> None:
    world = CampaignWorld(fleet(150))
    gate = {"failure_percent": 10, "soak_s": 3600}
    before = paused(world, waves=[{"count": 10, "gate": gate}, {"rest": True, "gate": gate}], quarantine={"minimum": 3})
    with pytest.raises(InvalidRequest, match=r"quarantine.minimum: the gate of wave 2 stops before 3 devices failed"):
        edit(world, before.id, [{"rest": True, "gate": {"failure_count": 2}}])
    assert world.campaign(before.id) == before
