"""Single steps: stale ones, early ones, two at once; the minute sweep; what is told to others; what is shown."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.rollouts import RolloutState
from shared.domain.waves import WaveState
from shared.handlers.advance_campaign import advance_campaign
from shared.handlers.resume_campaigns import resume_campaigns
from shared.handlers.show_campaigns import list_campaigns, show_campaign
from shared.handlers.wakeups import request_evaluation
from shared.ports.bus import Queue
from shared.ports.errors import ConcurrentChange
from shared.ports.stored import Stored
from shared.wire.messages import CampaignStep
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld, fleet

C, S = CampaignState, RolloutState


def running(world: CampaignWorld) -> Campaign:
    campaign = world.post()
    world.run(lambda: any(wave.state is WaveState.RUNNING for wave in world.campaign(campaign.id).waves))
    return world.campaign(campaign.id)


def test_a_message_for_a_step_already_taken_changes_nothing() -> None:
    """I4: neither the campaign nor the budget moves."""
    world = CampaignWorld(fleet(300), rate_per_s=50)
    campaign = world.post()
    world.run(lambda: world.budget.writes == 1)
    stored, writes = world.campaigns.get(campaign.id), world.budget.writes
    for step in range(stored.value.step):
        advance_campaign(CampaignStep(campaign=campaign.id, step=step), world.ports, now=world.now)
    assert world.campaigns.get(campaign.id) == stored
    assert world.budget.writes == writes


def test_of_two_steps_at_once_one_counts() -> None:
    """I4: should the session fail to keep them apart, the etag does."""
    world = CampaignWorld(fleet(30))
    campaign = world.post()
    world.run(lambda: world.campaign(campaign.id).state is C.RUNNING)
    step = CampaignStep(campaign=campaign.id, step=world.campaign(campaign.id).step)
    save, nested = world.campaigns.save, [step]

    def save_second(row: Stored[Campaign]) -> Stored[Campaign]:
        if nested:
            advance_campaign(nested.pop(), world.ports, now=world.now)
        return save(row)

    world.campaigns.save = save_second  # type: ignore[method-assign]
    with pytest.raises(ConcurrentChange):
        advance_campaign(step, world.ports, now=world.now)
    assert world.campaign(campaign.id).step == (step.step or 0) + 1


def test_an_evaluation_never_takes_a_planning_step() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post()
    stored = world.campaigns.get(campaign.id)
    advance_campaign(CampaignStep(campaign=campaign.id), world.ports, now=NOON)
    assert world.campaigns.get(campaign.id) == stored


def test_evaluations_asked_for_in_one_second_are_one() -> None:
    world = CampaignWorld()
    campaign = world.post(targets={"devices": ["a"]})
    for milliseconds in (10, 400, 990):
        now = NOON + timedelta(milliseconds=milliseconds)
        world.bus.send(Queue.CAMPAIGN_STEPS, [request_evaluation(campaign.id, 1, now)])
    messages = [message for message in world.bus.sent_to(Queue.CAMPAIGN_STEPS) if "evaluate" in message.message_id]
    assert [message.enqueue_at for message in messages] == [NOON + timedelta(seconds=1)]


def test_failures_stop_a_wave_that_is_still_being_dispatched() -> None:
    world = CampaignWorld(fleet(990), rate_per_s=50, outcome=lambda _device: S.FAILED)
    campaign = world.post()
    stopped = world.run_until(campaign.id, C.PAUSED)
    assert 0 < stopped.waves[0].dispatched < stopped.waves[0].batches


def test_a_soak_that_is_looked_at_too_early_is_looked_at_again() -> None:
    """Another clock runs ahead: the step comes before the soak is over, and must not be the last."""
    world = CampaignWorld(fleet(10))
    campaign = world.post(gate={"soak_s": 600})
    world.run(lambda: any(wave.state is WaveState.SOAKING for wave in world.campaign(campaign.id).waves))
    soaking = world.campaign(campaign.id)
    world.bus.waiting.clear()
    advance_campaign(CampaignStep(campaign=campaign.id, step=soaking.step), world.ports, now=world.now)
    assert world.campaign(campaign.id).step == soaking.step + 1
    assert [entry.visible_at for entry in world.bus.waiting] == [soaking.waves[0].soak_until]


def test_a_quiet_wave_is_looked_at_again_within_minutes() -> None:
    world = CampaignWorld(fleet(10), outcome=lambda _device: None)
    campaign = running(world)
    world.run(lambda: world.now > NOON + timedelta(minutes=30))
    due = world.campaign(campaign.id).step_due_at
    assert timedelta(minutes=-5) < due - world.now < timedelta(minutes=5)


def test_the_minute_sweep_wakes_only_what_is_overdue() -> None:
    world = CampaignWorld(fleet(10))
    world.post()
    waiting = len(world.bus.waiting)
    assert resume_campaigns(world.campaigns, world.bus, now=NOON + timedelta(seconds=59)) == 0
    assert resume_campaigns(world.campaigns, world.bus, now=NOON + timedelta(seconds=61)) == 1
    assert resume_campaigns(world.campaigns, world.bus, now=NOON + timedelta(seconds=62)) == 1
    assert len(world.bus.waiting) == waiting + 1, "the repeat within the minute is dropped by its id"


def test_others_are_told_of_campaigns_and_waves_and_never_of_devices() -> None:
    world = CampaignWorld(fleet(10))
    campaign = world.post(waves=[{"count": 1}, {"rest": True}])
    world.run_until(campaign.id, C.COMPLETED)
    told = [(event.type, json.loads(event.data)["state"]) for event in world.events.events]
    assert [state for kind, state in told if kind == "campaign.changed"] == ["planning", "running", "completed"]
    waves = [json.loads(e.data) for e in world.events.events if e.subject.endswith("/waves/1")]
    assert [wave["state"] for wave in waves] == ["pending", "dispatching", "running", "passed"]
    assert len({event.id for event in world.events.events}) == len(told)
    assert not any(device.encode() in event.data for event in world.events.events for device in fleet(10))


def test_a_campaign_shows_its_waves_counters_and_the_gates_sentence() -> None:
    world = CampaignWorld(fleet(10), outcome=lambda device: S.SUCCEEDED if device == "a#1" else None)
    campaign = world.post(gate={"soak_s": 60})
    world.run(lambda: world.now > NOON + timedelta(minutes=2))
    view = show_campaign(campaign.id, world.view_ports)
    assert (view.state, view.targets, view.package, view.version) == ("running", 10, "thermostat", "2.0.0")
    assert view.waves[0].counters == {"offered": 9, "succeeded": 1}
    assert view.waves[0].verdict == "1 of 10 devices ended, 1 succeeded"
    assert view.actions == ["pause", "skip-wave", "retry-failed", "cancel", "force-cancel", "revert"]
    assert view.plan.phase == "done"


def test_campaigns_are_listed_page_by_page() -> None:
    world = CampaignWorld(fleet(3))
    made = {world.post(name=f"number {number}").id for number in range(5)}
    first = list_campaigns(world.campaigns, size=3)
    second = list_campaigns(world.campaigns, size=3, continuation=first.continuation or "")
    assert second.continuation is None
    assert {summary.id for page in (first, second) for summary in page.campaigns} == made
