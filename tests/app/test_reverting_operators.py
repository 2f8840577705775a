"""What operators may do about a campaign that is being reverted, and what it does by itself when messages are lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict, DomainError, Forbidden
from shared.domain.ids import CampaignId
from shared.domain.plans import digest_plan
from shared.domain.reversions import Reversion, ReversionPhase, Wish
from shared.domain.reverting import PATIENCE, child_id
from shared.domain.rollouts import RolloutState
from shared.domain.starting import may_offer
from shared.domain.walks import MAX_ROUNDS, ROUND_LASTS, BatchPurpose
from shared.handlers.show_campaigns import MAX_CHILDREN_READ, show_campaign, view_of
from shared.ports.bus import Queue
from shared.ports.stored import Stored
from shared.wire.campaign_rows import read_campaign, write_campaign_row, write_wave_row
from shared.wire.messages import read_batch_work
from tests.app.test_reverting import completed, tell_former
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died

S, C = RolloutState, CampaignState
TWO_PEOPLE = {"required": 2}


def in_flight(**fields: Any) -> tuple[CampaignWorld, Campaign]:
    """A campaign whose canaries succeeded, and whose other 50 devices have an offer and say nothing."""
    world = CampaignWorld(fleet(60))
    world.packages.publish("thermostat", "1.4.0")
    campaign = world.post(waves=[{"count": 10}, {"rest": True}], gate={"silent_percent": None}, **fields)
    world.run(lambda: len(world.starts) == 2)
    world.outcome = lambda _device: None
    tell_former(world, campaign, "1.4.0")
    world.run(lambda: count(world, campaign, S.OFFERED) == 50)
    world.outcome = lambda _device: S.SUCCEEDED
    return world, campaign


def count(world: CampaignWorld, campaign: Campaign, state: RolloutState) -> int:
    return [row.state for row in world.rollouts.rows(campaign.id).values()].count(state)


def who_did_what(world: CampaignWorld, campaign: CampaignId) -> list[tuple[str, str]]:
    return [(entry.who, entry.what) for entry in world.audit.read(campaign)]


def lose_withdrawals(world: CampaignWorld, *, times: int) -> list[Any]:
    """The queue loses so many messages that take offers back, the next ones that come."""
    lost: list[Any] = []
    send = world.bus.send

    def losing(queue: Queue, messages: Any) -> None:
        kept = []
        for message in messages:
            takes_back = queue is Queue.DEVICE_BATCHES and read_batch_work(message.body).purpose in (
                BatchPurpose.WITHDRAW,
                BatchPurpose.RECALL,
            )
            (lost if takes_back and len(lost) < times else kept).append(message)
        send(queue, kept)

    world.bus.send = losing  # type: ignore[method-assign]
    return lost


def reverting(**fields: Any) -> tuple[CampaignWorld, Campaign, CampaignId]:
    """A campaign whose child is running, with devices that say nothing."""
    world, campaign = completed(**fields)
    world.outcome = lambda _device: None
    world.act(campaign.id, "revert")
    child = child_id(campaign.id, "1.4.0")
    world.run(lambda: child in world.campaigns_known() and world.campaign(child).state is C.RUNNING)
    world.run(lambda: phase(world, campaign) is ReversionPhase.WATCHING)
    world.run(lambda: S.OFFERED in {row.state for row in world.rollouts.rows(child).values()})
    return world, campaign, child


def phase(world: CampaignWorld, campaign: Campaign) -> ReversionPhase | None:
    order = world.campaign(campaign.id).reversion
    return order.phase if order else None


def test_what_a_revert_waits_for_is_told_as_it_is_now() -> None:
    """Its step looks every 15 seconds; whoever looks in between must not read that a paused campaign runs."""
    world, campaign, child = reverting()
    world.run(lambda: world.campaign(campaign.id).reason == f"{child} (1.4.0) is running")
    kept = world.campaigns.get(campaign.id)
    world.act(child, "pause")

    shown = show_campaign(campaign.id, world.view_ports)

    assert shown.reason == f"{child} (1.4.0) is paused"
    assert [wait.words for wait in shown.waits_for if wait.what == "children"] == [shown.reason]
    assert world.campaigns.get(campaign.id) == kept
    world.act(child, "resume")
    assert show_campaign(campaign.id, world.view_ports).reason == kept.value.reason


@pytest.mark.parametrize("children", [MAX_CHILDREN_READ + 1, 1])
def test_children_that_are_many_or_gone_are_told_of_as_they_were(children: int) -> None:
    world, campaign, _child = reverting()
    parent = world.campaign(campaign.id)
    assert parent.reversion is not None
    others = replace(parent.reversion, children=tuple(CampaignId(f"gone-{number}") for number in range(children)))
    assert view_of(replace(parent, reversion=others), world.view_ports).reason == parent.reason


def test_a_child_that_only_a_newer_version_can_read_is_told_of_as_it_was() -> None:
    world, campaign, child = reverting()
    world.run(lambda: world.campaign(campaign.id).reason == f"{child} (1.4.0) is running")
    world.campaigns.newer.add(child)
    assert show_campaign(campaign.id, world.view_ports).reason == f"{child} (1.4.0) is running"


# Lost messages.


@pytest.mark.parametrize("action", ["revert", "cancel", "force-cancel"])
def test_a_lost_batch_of_offers_to_take_back_is_sent_again(action: str) -> None:
    """Queues are wake-ups, tables are the truth."""
    world, campaign = in_flight()
    lost = lose_withdrawals(world, times=1)
    world.act(campaign.id, action)
    began = world.now
    world.run(lambda: count(world, campaign, S.CANCELLED) == 50)
    assert lost
    assert count(world, campaign, S.CANCELLED) == 50
    assert world.now - began <= ROUND_LASTS + timedelta(minutes=3)
    world.run(hours=1)
    assert not world.campaign(campaign.id).walks


def test_a_revert_goes_on_without_devices_that_never_end() -> None:
    world, campaign = in_flight()
    lose_withdrawals(world, times=1000)
    began = world.now
    world.act(campaign.id, "revert")
    reverted = world.run_until(campaign.id, C.REVERTED)
    assert world.now - began <= PATIENCE + timedelta(minutes=15)
    child = world.campaign(child_id(campaign.id, "1.4.0"))
    assert child.targets == 10
    assert reverted.reason == (
        f"{child.id} (1.4.0) is completed; 50 devices stay as they are, because they had not ended in time"
    )


def test_a_cancelled_campaign_does_not_look_for_ever() -> None:
    world, campaign = in_flight()
    lose_withdrawals(world, times=1000)
    world.act(campaign.id, "cancel")
    world.run(hours=MAX_ROUNDS * ROUND_LASTS / timedelta(hours=1) + 0.2)
    assert not world.campaign(campaign.id).awaits_step


def test_offers_that_are_taken_back_cost_few_looks() -> None:
    world, campaign = in_flight()
    lose_withdrawals(world, times=1000)
    world.act(campaign.id, "revert")
    before = world.campaign(campaign.id).step
    world.run(lambda: phase(world, campaign) is not ReversionPhase.COLLECTING)
    assert world.campaign(campaign.id).step - before < 90


# Pause and resume.


def test_a_reverting_campaign_rests_and_goes_on_with_its_child() -> None:
    world, campaign, child = reverting()
    assert world.act(campaign.id, "pause") == world.act(campaign.id, "pause")
    world.run(lambda: world.campaign(child).state is C.PAUSED)
    assert world.campaign(child).reason == f"paused with {campaign.id}"
    world.run(hours=1)
    assert world.campaign(campaign.id).state is C.PAUSED

    world.outcome = lambda _device: S.SUCCEEDED
    assert world.act(campaign.id, "resume").state is C.REVERTING
    for row in world.rollouts.rows(child).values():
        if row.state is S.OFFERED:
            world.set_state(row, S.SUCCEEDED)
    assert world.run_until(campaign.id, C.REVERTED).reason == f"{child} (1.4.0) is completed"
    assert ("grace", "resume") in who_did_what(world, campaign.id)
    assert (f"service for {campaign.id}", "resume") in who_did_what(world, child)
    world.check_audit(campaign.id)
    world.check_audit(child)


def test_thief_of_the_tables_puts_no_ones_name_into_a_childs_log() -> None:
    """What the children are to do is not signed: whoever writes the table can say it, but not who wanted it."""
    world, campaign, child = reverting()
    stored = world.campaigns.get(campaign.id)
    assert stored.value.reversion is not None
    forged = replace(stored.value.reversion, wish=Wish.CANCEL, is_told=False)
    world.campaigns.save(Stored(value=replace(stored.value, reversion=forged), etag=stored.etag))
    world.run(lambda: world.campaign(child).state is C.ABORTED)
    assert {who for who, _ in who_did_what(world, child)} <= {"gate", "service", f"service for {campaign.id}"}


def test_a_child_that_its_gate_stopped_is_not_resumed_with_its_parent() -> None:
    """Resuming accepts what has failed: somebody must say so about that very campaign."""
    world, campaign, child = reverting()
    row = next(row for row in world.rollouts.rows(child).values() if row.state is S.OFFERED)
    world.set_state(row, S.FAILED)
    world.run(lambda: world.campaign(child).state is C.PAUSED)
    for action in ("pause", "resume"):
        world.act(campaign.id, action)
        world.run(lambda: not world.campaign(campaign.id).has_untold_children)
    world.run(hours=0.1)
    assert world.campaign(child).state is C.PAUSED
    assert "stopped it" in world.campaign(child).reason


def test_a_pause_before_the_devices_are_collected_still_takes_offers_back() -> None:
    world, campaign = in_flight()
    world.act(campaign.id, "revert")
    world.act(campaign.id, "pause")
    world.run(hours=2)
    assert count(world, campaign, S.CANCELLED) == 50
    assert (world.campaign(campaign.id).state, phase(world, campaign)) == (C.PAUSED, ReversionPhase.COLLECTING)
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.REVERTED)


def test_nothing_is_offered_while_a_reverting_campaign_rests_or_waits() -> None:
    world, campaign, _child = reverting()
    for state in (C.PAUSED, C.AWAITING_APPROVAL, C.COMPLETED, C.RUNNING):
        rests = replace(world.campaign(campaign.id), state=state)
        assert not any(may_offer(rests, wave.number, now=world.now) for wave in rests.waves), state


# Cancel.


@pytest.mark.parametrize(("action", "ends"), [("cancel", S.OFFERED), ("force-cancel", S.CANCELLED)])
def test_cancelling_ends_the_children_in_the_same_strength(action: str, ends: RolloutState) -> None:
    """Devices that have begun may finish after a soft cancel."""
    world, campaign, child = reverting()
    begun = next(row for row in world.rollouts.rows(child).values() if row.state is S.OFFERED)
    world.set_state(begun, S.DOWNLOADING)
    assert world.act(campaign.id, action).state is C.ABORTED
    world.run(hours=2)
    found = world.campaign(child)
    assert (found.state, found.is_forced) == (C.ABORTED, action == "force-cancel")
    states = {row.device: row.state for row in world.rollouts.rows(child).values()}
    assert states.pop(begun.device) is (S.DOWNLOADING if ends is S.OFFERED else S.CANCELLED)
    assert set(states.values()) == {S.CANCELLED}
    assert world.campaign(campaign.id).reason == "its reverting was cancelled by grace"
    assert world.act(campaign.id, action).state is C.ABORTED


def test_a_soft_cancel_of_a_revert_can_be_forced_later() -> None:
    world, campaign, child = reverting()
    begun = next(row for row in world.rollouts.rows(child).values() if row.state is S.OFFERED)
    world.set_state(begun, S.DOWNLOADING)
    world.act(campaign.id, "cancel")
    world.run(hours=0.5)
    assert world.rollouts.rows(child)[begun.device].state is S.DOWNLOADING
    world.act(campaign.id, "force-cancel")
    world.run(hours=0.5)
    assert world.rollouts.rows(child)[begun.device].state is S.CANCELLED


def test_a_campaign_whose_reverting_was_cancelled_can_be_reverted_anew() -> None:
    world, campaign, child = reverting()
    world.act(campaign.id, "cancel")
    world.run(hours=1)
    world.outcome = lambda _device: S.SUCCEEDED
    world.act(campaign.id, "revert")
    again = child_id(campaign.id, "1.4.0", 2)
    assert world.run_until(campaign.id, C.REVERTED).reason == f"{again} (1.4.0) is completed"
    assert world.campaign(child).state is C.ABORTED
    assert {row.state for row in world.rollouts.rows(again).values()} == {S.SUCCEEDED}


def test_other_actions_do_not_fit_and_the_answer_names_those_that_do() -> None:
    world, campaign, _child = reverting()
    world.act(campaign.id, "pause")
    for action in ("skip-wave", "retry-failed", "start"):
        with pytest.raises(Conflict, match="these actions do: resume or cancel or force-cancel"):
            world.act(campaign.id, action, wave=1)
    assert world.act(campaign.id, "revert").state is C.PAUSED, "it is so already"


# Approval.


def approved_and_done() -> tuple[CampaignWorld, Campaign]:
    """A completed campaign that two people had approved."""
    world = CampaignWorld(fleet(60))
    world.packages.publish("thermostat", "1.4.0")
    campaign = world.post(waves=[{"count": 10}, {"rest": True}], approval=TWO_PEOPLE)
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    for who in ("grace", "linus"):
        world.act(campaign.id, "approve", who=who)
    world.run_until(campaign.id, C.COMPLETED)
    tell_former(world, campaign, "1.4.0")
    return world, campaign


def test_an_operators_revert_of_an_approved_campaign_needs_as_many_people() -> None:
    """Else one stolen key could bring an old version back to a whole fleet."""
    world, campaign = approved_and_done()
    world.act(campaign.id, "revert", who="mallory")
    waiting = world.run_until(campaign.id, C.AWAITING_APPROVAL)
    assert waiting.reason == "the devices go back once 2 more approve"
    with pytest.raises(Forbidden):
        world.act(campaign.id, "approve", who="mallory")
    child = child_id(campaign.id, "1.4.0")
    world.run(hours=1)
    assert child not in world.campaigns_known()

    plan = digest_plan(waiting)
    shown = view_of(waiting, world.view_ports)
    assert shown.approval is not None
    assert (shown.approval.about, shown.approval.wave, shown.approval.missing) == ("going back", None, 2)
    assert shown.approval.plan_sha256 == plan
    assert shown.reversion is not None
    assert (shown.reversion.ordered_by, shown.reversion.devices) == ("mallory", {"1.4.0": 60})
    assert "approve" in shown.actions

    world.act(campaign.id, "approve", who="ada", plan_sha256=plan)
    world.act(campaign.id, "approve", who="linus", plan_sha256=plan)
    assert world.run_until(campaign.id, C.REVERTED).reason == f"{child} (1.4.0) is completed"
    deeds = [(entry.what, entry.who, entry.detail) for entry in world.audit.read(campaign.id)]
    assert ("approve", "ada", f"going back, plan {plan}") in deeds
    [asked] = [detail for what, _who, detail in deeds if what == "await_approval"]
    assert plan in asked
    assert "await_approval" not in {entry.what for entry in world.audit.read(child)}


def test_open_offers_are_taken_back_before_anybody_has_approved() -> None:
    """Taking back harms nobody, and is urgent."""
    world, campaign = in_flight()
    stored = world.campaigns.get(campaign.id)
    policy = replace(stored.value.spec, approval=approved_and_done()[1].spec.approval)
    signed = world.ports.specs.sign(replace(stored.value, spec=policy))
    world.campaigns.save(Stored(value=signed, etag=stored.etag))
    world.act(campaign.id, "revert")
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    assert count(world, campaign, S.CANCELLED) == 50


def test_what_a_gate_reverts_was_in_the_plan_that_people_approved() -> None:
    world = CampaignWorld(fleet(60))
    world.packages.publish("thermostat", "1.4.0")
    gate = {"on_stop": "revert"}
    campaign = world.post(waves=[{"count": 10}, {"rest": True}], gate=gate, approval=TWO_PEOPLE)
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    for who in ("grace", "linus"):
        world.act(campaign.id, "approve", who=who)
    world.run(lambda: len(world.starts) == 2)
    tell_former(world, campaign, "1.4.0")
    world.outcome = lambda _device: S.FAILED
    world.run_until(campaign.id, C.REVERTING)
    world.outcome = lambda _device: S.SUCCEEDED
    world.run_until(campaign.id, C.REVERTED)
    assert "await_approval" not in {entry.what for entry in world.audit.read(campaign.id)}


def test_approvals_of_the_campaign_are_none_of_its_revert_and_none_serves_twice() -> None:
    world, campaign = approved_and_done()
    world.act(campaign.id, "revert", who="mallory")
    first = world.run_until(campaign.id, C.AWAITING_APPROVAL)
    world.act(campaign.id, "approve", who="ada")
    world.act(campaign.id, "cancel", who="mallory")
    world.run(hours=0.1)
    world.act(campaign.id, "revert", who="mallory")
    again = world.run_until(campaign.id, C.AWAITING_APPROVAL)
    assert digest_plan(again) != digest_plan(first)
    assert again.reason == "the devices go back once 2 more approve"


def test_a_row_set_to_reverting_by_hand_still_waits_for_people() -> None:
    world, campaign = approved_and_done()
    world.act(campaign.id, "revert", who="mallory")
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    stored = world.campaigns.get(campaign.id)
    world.campaigns.save(Stored(value=replace(stored.value, state=C.REVERTING), etag=stored.etag))
    world.run(lambda: world.campaign(campaign.id).state is C.AWAITING_APPROVAL)
    assert world.campaign(campaign.id).state is C.AWAITING_APPROVAL


@pytest.mark.parametrize("forged", [{"ordered_by": "gate"}, {"ordered_by": ""}, {"number": 7}])
def test_thief_of_the_tables_cannot_pass_an_operators_order_off_as_a_gates(forged: dict[str, Any]) -> None:
    world, campaign = approved_and_done()
    world.act(campaign.id, "revert", who="mallory")
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    stored = world.campaigns.get(campaign.id)
    order = replace(stored.value.reversion, **forged)  # type: ignore[type-var]
    edited = replace(stored.value, state=C.REVERTING, reversion=order)
    world.campaigns.save(Stored(value=edited, etag=stored.etag))
    world.run(hours=1)
    assert world.campaign(campaign.id).state in (C.ABORTED, C.AWAITING_APPROVAL)
    assert {child_id(campaign.id, "1.4.0", number) for number in (1, 7)}.isdisjoint(world.campaigns_known())


def test_pages_that_changed_after_they_were_approved_bring_nothing_back() -> None:
    world, campaign = approved_and_done()
    world.act(campaign.id, "revert", who="mallory")
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    child = child_id(campaign.id, "1.4.0")
    world.manifests.write_page(child, 0, world.manifests.read_manifest(campaign.id)[:3])
    for who in ("ada", "linus"):
        world.act(campaign.id, "approve", who=who)
    aborted = world.run_until(campaign.id, C.ABORTED)
    assert "not those that were collected" in aborted.reason
    assert child not in world.campaigns_known()


def test_an_order_nobody_gave_is_not_signed_by_what_operators_do_next() -> None:
    world, campaign = completed()
    stored = world.campaigns.get(campaign.id)
    order = Reversion(ordered_at=world.now, ordered_by="gate")
    forged = replace(stored.value, state=C.REVERTING, reversion=order)
    world.campaigns.save(Stored(value=forged, etag=stored.etag))
    world.act(campaign.id, "pause")
    with pytest.raises(Conflict, match="not the one that was signed"):
        world.act(campaign.id, "resume")


def test_the_row_keeps_all_of_it() -> None:
    world, campaign = approved_and_done()
    world.act(campaign.id, "revert", who="mallory")
    found = world.run_until(campaign.id, C.AWAITING_APPROVAL)
    row, waves = write_campaign_row(found), [write_wave_row(found, wave) for wave in found.waves]
    assert read_campaign(row, waves).reversion == found.reversion


# Deaths.


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_children_are_told_however_often_the_teller_dies(action: str, after: bool) -> None:
    """I4, I9."""
    for writes in range(12):
        world, campaign, child = reverting()
        world.life.left, world.life.dies_after_the_write = writes, after
        try:
            world.act(campaign.id, action)
        except Died:
            world.act(campaign.id, action)
        world.run(hours=1)
        expected = C.PAUSED if action == "pause" else C.ABORTED
        assert (world.campaign(campaign.id).state, world.campaign(child).state) == (expected, expected), writes
        deeds = [entry.what for entry in world.audit.read(child)]
        assert deeds.count(action) == 1, (writes, deeds)


def test_nothing_about_it_is_an_error_that_nobody_can_mend() -> None:
    world, campaign, child = reverting()
    world.act(child, "cancel")
    world.act(campaign.id, "cancel")
    world.run(hours=1)
    assert not [error for error in world.refused if isinstance(error, DomainError)]


def test_no_two_orders_and_versions_share_a_campaign() -> None:
    """Versions of Debian packages have colons: a second order for one is not the first for another."""
    places = [(former, number) for former in ("1", "1:2", "1:2:2", "2:1", "") for number in (1, 2, 12)]
    assert len({child_id(CampaignId("c1"), *place) for place in places}) == len(places)
