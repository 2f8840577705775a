"""Campaigns that start, or go on to their next wave, only once enough people agreed (invariant I9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.audit import AuditEntry
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict, Forbidden
from shared.domain.ids import CampaignId
from shared.domain.planning import PlanningPhase
from shared.domain.plans import digest_plan
from shared.domain.rollouts import RolloutState
from shared.domain.steps_by_operators import OperatorAction
from shared.domain.waves import Percent, WaveState
from shared.handlers.act_on_campaign import act_on_campaign
from shared.handlers.edit_waves import edit_waves
from shared.ports.campaigns import AuditLog
from shared.ports.stored import Stored
from shared.wire.campaign_rows import read_campaign, write_campaign_row, write_wave_row
from shared.wire.http_wave_edits import read_waves_request
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died, Life

C, S = CampaignState, RolloutState
TWO_WAVES = [{"count": 5}, {"rest": True}]
TWO_PEOPLE = {"required": 2}


def waiting(world: CampaignWorld, **request: Any) -> Campaign:
    campaign = world.post(**{"waves": TWO_WAVES, "approval": TWO_PEOPLE} | request)
    return world.run_until(campaign.id, C.AWAITING_APPROVAL)


def states(world: CampaignWorld, campaign: Campaign) -> set[RolloutState]:
    return {row.state for row in world.rollouts.rows(campaign.id).values()}


def test_a_campaign_starts_once_enough_people_approved() -> None:
    world = CampaignWorld(fleet(30))
    campaign = waiting(world)
    world.run()
    assert states(world, campaign) == {S.PLANNED}
    assert campaign.reason == "wave 1 (wave 1) starts once 2 more approve"

    once = world.act(campaign.id, "approve", who="Grace <g>", remark="looked at the canaries")
    world.run()
    assert (once.state, states(world, campaign)) == (C.AWAITING_APPROVAL, {S.PLANNED})
    approved = world.act(campaign.id, "approve", who="Linus <l>")
    assert (approved.state, approved.reason) == (C.RUNNING, "approved by Grace and Linus")
    world.run_until(campaign.id, C.COMPLETED)
    world.check_counters(campaign.id)

    deeds = [entry for entry in world.audit.read(campaign.id) if entry.what == "approve"]
    assert [(entry.who, entry.before, entry.after) for entry in deeds] == [
        ("Grace <g>", "awaiting_approval", "awaiting_approval"),
        ("Linus <l>", "awaiting_approval", "running"),
    ]
    assert deeds[0].detail == f"wave 1, plan {digest_plan(campaign)}; looked at the canaries"


def test_one_person_counts_once_whatever_they_are_called() -> None:
    world = CampaignWorld(fleet(30))
    campaign = waiting(world)
    once = world.act(campaign.id, "approve", who="Grace <g>")
    assert world.act(campaign.id, "approve", who="Grace, married <g>") == once
    assert len(once.consents.approvals) == 1


def test_who_asked_for_it_cannot_approve_it() -> None:
    world = CampaignWorld(fleet(30))
    campaign = waiting(world, who="Ada <a>")
    with pytest.raises(Forbidden) as refused:
        world.act(campaign.id, "approve", who="Not Ada <a>")
    assert refused.value.code == "requester_cannot_approve"
    assert world.campaign(campaign.id).consents.approvals == ()


def test_who_changed_the_waves_cannot_approve_their_own_change() -> None:
    world = CampaignWorld(fleet(30))
    campaign = waiting(world, approval={"required": 1})
    world.act(campaign.id, "pause")
    edited = read_waves_request(b'{"waves": [{"count": 7}, {"rest": true}]}')
    edit_waves(campaign.id, edited, world.ports, who="Grace <g>", now=world.now)
    world.run(lambda: world.campaign(campaign.id).planning.phase is PlanningPhase.DONE)
    assert world.act(campaign.id, "resume").state is C.AWAITING_APPROVAL
    with pytest.raises(Forbidden):
        world.act(campaign.id, "approve", who="Grace <g>")
    assert world.act(campaign.id, "approve", who="Linus <l>").state is C.RUNNING


def test_two_who_approve_at_the_same_moment_both_count() -> None:
    """Linus's approval is written between Grace's look at the campaign and hers."""
    world = CampaignWorld(fleet(30))
    campaign = waiting(world)
    audit = SlowAudit(world.ports.audit, meanwhile=lambda: world.act(campaign.id, "approve", who="linus"))
    ports = replace(world.ports, audit=audit)
    after = act_on_campaign(campaign.id, OperatorAction.APPROVE, ports, now=world.now, who="grace")
    assert after.state is C.RUNNING
    assert {approval.who for approval in after.consents.approvals} == {"grace", "linus"}


class SlowAudit:
    """An ``AuditLog`` that something happens during the first append of."""

    def __init__(self, audit: AuditLog, *, meanwhile: Callable[[], object]) -> None:
        self._audit = audit
        self._meanwhile = [meanwhile]

    def append(self, entry: AuditEntry) -> None:
        if self._meanwhile:
            self._meanwhile.pop()()
        self._audit.append(entry)

    def read(self, campaign: CampaignId) -> Iterator[AuditEntry]:
        return self._audit.read(campaign)


def test_each_wave_can_need_its_own_approvals() -> None:
    world = CampaignWorld(fleet(30))
    campaign = waiting(world, approval=TWO_PEOPLE | {"between_waves": True})
    for who in ("grace", "linus"):
        world.act(campaign.id, "approve", who=who)
    again = world.run_until(campaign.id, C.AWAITING_APPROVAL)
    assert [wave.state for wave in again.waves] == [WaveState.PASSED, WaveState.PENDING]
    world.run()
    assert {row.state for row in world.rollouts.rows(campaign.id).values() if row.wave == 2} == {S.PLANNED}
    with pytest.raises(Conflict, match="does not wait for wave 1"):
        world.act(campaign.id, "approve", who="grace", wave=1)
    for who in ("grace", "linus"):
        world.act(campaign.id, "approve", who=who, wave=2)
    world.run_until(campaign.id, C.COMPLETED)
    assert world.starts == [(campaign.id, 1), (campaign.id, 2)]


def test_an_approval_is_for_the_plan_that_was_looked_at() -> None:
    """Somebody resizes a wave: what was approved before is not what would be rolled out."""
    world = CampaignWorld(fleet(30))
    campaign = waiting(world)
    world.act(campaign.id, "approve", who="grace", plan_sha256=digest_plan(campaign))
    world.act(campaign.id, "pause")
    stored = world.campaigns.get(campaign.id)
    first, second = stored.value.waves
    resized = (replace(first, stop=20, spec=replace(first.spec, size=Percent(percent=60))), replace(second, start=20))
    spec = replace(stored.value.spec, waves=(resized[0].spec, second.spec))
    changed = world.ports.specs.sign(replace(stored.value, waves=resized, spec=spec))
    world.campaigns.save(Stored(value=changed, etag=stored.etag))

    resumed = world.act(campaign.id, "resume")
    assert (resumed.state, resumed.reason) == (C.AWAITING_APPROVAL, "wave 1 (wave 1) starts once 2 more approve")
    with pytest.raises(Conflict, match="is another one now") as refused:
        world.act(campaign.id, "approve", who="linus", plan_sha256=digest_plan(campaign))
    assert refused.value.code == "plan_changed"
    assert world.act(campaign.id, "approve", who="linus").state is C.AWAITING_APPROVAL


def test_how_far_a_campaign_is_does_not_change_its_plan() -> None:
    world = CampaignWorld(fleet(30))
    campaign = waiting(world)
    for who in ("grace", "linus"):
        world.act(campaign.id, "approve", who=who)
    done = world.run_until(campaign.id, C.COMPLETED)
    assert digest_plan(done) == digest_plan(campaign)
    row = write_campaign_row(done)
    assert digest_plan(read_campaign(row, [write_wave_row(done, wave) for wave in done.waves])) == digest_plan(done)


def test_pausing_and_resuming_a_wave_needs_no_new_approval() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = waiting(world, approval=TWO_PEOPLE | {"between_waves": True})
    for who in ("grace", "linus"):
        world.act(campaign.id, "approve", who=who)
    world.run(lambda: bool(world.starts))
    world.act(campaign.id, "pause")
    assert world.act(campaign.id, "resume").state is C.RUNNING


def test_what_is_edited_behind_a_wave_that_has_begun_is_asked_about_before_it_begins() -> None:
    """The wave in hand is as it was approved: it goes on, and its gate is looked at."""
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = waiting(world)
    for who in ("grace", "linus"):
        world.act(campaign.id, "approve", who=who)
    world.run(lambda: S.OFFERED in states(world, campaign))
    world.act(campaign.id, "pause")
    edited = read_waves_request(b'{"waves": [{"count": 7}, {"rest": true}]}')
    edit_waves(campaign.id, edited, world.ports, who="ada", now=world.now)
    world.run(lambda: world.campaign(campaign.id).planning.phase is PlanningPhase.DONE)
    assert world.act(campaign.id, "resume").state is C.RUNNING
    world.outcome = lambda _device: S.SUCCEEDED
    for row in world.rollouts.rows(campaign.id).values():
        if row.state is S.OFFERED:
            world.set_state(row, S.SUCCEEDED)
    asked = world.run_until(campaign.id, C.AWAITING_APPROVAL)
    assert [wave.state for wave in asked.waves] == [WaveState.PASSED, WaveState.PENDING, WaveState.PENDING]
    assert asked.reason == "wave 2 (wave 2) starts once 2 more approve"


def test_a_wave_that_was_stopped_late_is_resumed_without_new_approvals() -> None:
    world = CampaignWorld(fleet(30))
    campaign = waiting(world, approval={"required": 1, "between_waves": True})
    world.act(campaign.id, "approve")
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    world.outcome = lambda _device: None
    assert world.act(campaign.id, "approve").state is C.RUNNING
    world.run(lambda: S.OFFERED in states(world, campaign))
    world.regress_one(campaign.id)
    world.run_until(campaign.id, C.PAUSED)
    assert world.act(campaign.id, "resume").state is C.RUNNING


def test_a_waiting_campaign_can_be_cancelled_and_frees_its_devices() -> None:
    world = CampaignWorld(fleet(30))
    campaign = waiting(world)
    assert world.act(campaign.id, "cancel").state is C.ABORTED
    world.run()
    assert states(world, campaign) == {S.CANCELLED}
    with pytest.raises(Conflict, match="is aborted: approve does not fit"):
        world.act(campaign.id, "approve")


def test_nothing_is_approved_before_it_is_planned_or_when_nobody_is_asked() -> None:
    world = CampaignWorld(fleet(30))
    planned = world.post(approval=TWO_PEOPLE)
    with pytest.raises(Conflict, match="is planning: approve does not fit"):
        world.act(planned.id, "approve")
    free = world.run_until(world.post(name="free").id, C.RUNNING, C.COMPLETED)
    with pytest.raises(Conflict, match="approve does not fit"):
        world.act(free.id, "approve")


def test_a_campaign_that_somebody_changed_cannot_be_approved() -> None:
    world = CampaignWorld(fleet(30))
    campaign = waiting(world, approval={"required": 1})
    stored = world.campaigns.get(campaign.id)
    forged = replace(stored.value, requested_by="mallory")
    world.campaigns.save(Stored(value=forged, etag=stored.etag))
    with pytest.raises(Conflict) as refused:
        world.act(campaign.id, "approve")
    assert refused.value.code == "spec_untrusted"


def test_a_row_set_to_running_by_hand_still_waits_for_people() -> None:
    """I5: the wave looks for the approvals themselves, not for the state."""
    world = CampaignWorld(fleet(30))
    campaign = waiting(world)
    stored = world.campaigns.get(campaign.id)
    world.campaigns.save(Stored(value=replace(stored.value, state=C.RUNNING), etag=stored.etag))
    world.now = world.bus.now = world.now + timedelta(minutes=5)
    assert world.run_until(campaign.id, C.AWAITING_APPROVAL).waves[0].state is WaveState.PENDING


def test_a_death_at_any_write_of_approving_ends_in_the_same_tables() -> None:
    """I4, I9: however often an approver must ask again."""

    def approved(life: Life) -> dict[str, Any]:
        world = CampaignWorld(fleet(30), life=life)
        campaign = post_at_last(world)
        for wave in (1, 2):
            world.run(lambda number=wave: awaits(world, campaign, number))  # type: ignore[misc]
            for who in ("grace", "linus"):
                try:
                    world.act(campaign.id, "approve", who=who, wave=wave)
                except Died:
                    world.act(campaign.id, "approve", who=who, wave=wave)
        world.run_until(campaign.id, C.COMPLETED)
        world.run()
        world.check_counters(campaign.id)
        deeds = [entry.who for entry in world.audit.read(campaign.id) if entry.what == "approve"]
        assert deeds == ["grace", "linus"] * 2
        return world.end_state(campaign.id)

    def awaits(world: CampaignWorld, campaign: Campaign, wave: int) -> bool:
        found = world.campaign(campaign.id)
        in_hand = found.wave_in_hand
        return found.state is C.AWAITING_APPROVAL and in_hand is not None and in_hand.number == wave

    def post_at_last(world: CampaignWorld) -> Campaign:
        request = {"key": "once", "waves": TWO_WAVES, "approval": TWO_PEOPLE | {"between_waves": True}}
        try:
            return world.post(**request)
        except Died:
            return world.post(**request)

    life = Life()
    expected = approved(life)
    for dies_after_the_write in (True, False):
        for left in range(life.writes):
            died = Life(left=left, dies_after_the_write=dies_after_the_write)
            assert approved(died) == expected, f"died at write {left}"
