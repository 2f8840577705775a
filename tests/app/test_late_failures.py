"""A wave has passed, and then its devices fail or go back after all (invariant I11)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from shared.domain.audit import GATE
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import DeviceId
from shared.domain.retention import Archive
from shared.domain.rollouts import RolloutState
from shared.domain.waves import WaveState
from shared.handlers.reconsider_passed import reconsider_passed
from shared.handlers.wakeups import request_evaluation
from shared.ports.bus import Queue
from shared.ports.stored import Stored
from shared.wire.alerts import ALERT
from tests.support.campaign_world import CampaignWorld, fleet

S, C, W = RolloutState, CampaignState, WaveState
TWO_WAVES = [{"count": 10}, {"rest": True}]


def second_wave_open(**policy: Any) -> tuple[CampaignWorld, Campaign]:
    """The first wave has passed, the devices of the second stay silent."""
    world = CampaignWorld(fleet(30))
    campaign = world.post(waves=TWO_WAVES, **policy)
    world.run(lambda: len(world.starts) == 2)
    world.outcome = lambda _device: None
    world.run(lambda: S.OFFERED in {row.state for row in world.rollouts.rows(campaign.id).values()})
    return world, world.campaign(campaign.id)


def alerts(world: CampaignWorld) -> list[str]:
    return [json.loads(event.data)["code"] for event in world.events.events if event.type == ALERT]


def test_a_regression_in_a_wave_that_had_passed_pauses_the_campaign_and_says_so() -> None:
    world, campaign = second_wave_open()
    world.regress_one(campaign.id)
    paused = world.run_until(campaign.id, C.PAUSED)
    assert [wave.state for wave in paused.waves] == [W.FAILED, W.RUNNING]
    assert paused.reason == (
        "the gate of wave 1 (wave 1) had let it pass: 1 of 10 devices failed (10 %, the gate allows 0 %)"
    )
    assert alerts(world) == ["late_failure"]
    entry = list(world.audit.read(campaign.id))[-1]
    assert (entry.who, entry.what, entry.before, entry.after) == (GATE, "stop", "running", "paused")
    world.check_audit(campaign.id)


def test_resuming_accepts_the_late_failures_and_the_later_wave_goes_on_where_it_was() -> None:
    world, campaign = second_wave_open()
    world.regress_one(campaign.id)
    world.run_until(campaign.id, C.PAUSED)
    world.outcome = lambda _device: S.SUCCEEDED
    world.act(campaign.id, "resume")
    for row in world.rollouts.rows(campaign.id).values():
        if row.state is S.OFFERED:
            world.set_state(row, S.SUCCEEDED)
    done = world.run_until(campaign.id, C.COMPLETED)
    assert done.waves[0].acknowledged.of(S.REGRESSED) == 1
    assert world.starts == [(campaign.id, 1), (campaign.id, 2)], "no wave started twice"


def test_a_completed_campaign_is_paused_too_and_a_further_regression_stops_it_again() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post()
    world.run_until(campaign.id, C.COMPLETED)
    for _ in range(2):
        world.regress_one(campaign.id)
        world.run_until(campaign.id, C.PAUSED)
        world.act(campaign.id, "resume")
        world.run_until(campaign.id, C.COMPLETED)


def test_a_late_failure_nobody_was_told_of_is_found_by_the_hourly_sweep() -> None:
    """The evaluation that the fold asks for is lost; the second wave goes on for days."""
    world, campaign = second_wave_open()
    world.regress_one(campaign.id)
    world.bus.waiting = [entry for entry in world.bus.waiting if entry.queue is not Queue.CAMPAIGN_STEPS]
    world.run(hours=2)
    assert world.campaign(campaign.id).state is C.RUNNING
    assert reconsider_passed(world.campaigns, world.bus, now=world.now) == 1
    paused = world.run_until(campaign.id, C.PAUSED)
    assert [wave.state for wave in paused.waves] == [W.FAILED, W.RUNNING]
    assert reconsider_passed(world.campaigns, world.bus, now=world.now) == 0


def test_by_policy_people_are_only_told_and_once() -> None:
    world, campaign = second_wave_open(on_late_failure="alert")
    world.regress_one(campaign.id)
    world.run(lambda: bool(alerts(world)))
    world.regress_one(campaign.id)
    world.run(hours=0.1)
    told = world.campaign(campaign.id)
    assert (told.state, told.waves[0].state) == (C.RUNNING, W.PASSED)
    assert "had let it pass" in told.reason
    assert alerts(world) == ["late_failure"]
    assert [entry.what for entry in world.audit.read(campaign.id)].count("stop") == 1


def test_a_gate_that_still_holds_says_nothing() -> None:
    world, campaign = second_wave_open(gate={"failure_percent": 20, "success_percent": 80})
    before = world.campaign(campaign.id)
    world.regress_one(campaign.id)
    world.run(hours=0.1)
    assert world.campaign(campaign.id).state is C.RUNNING
    assert world.campaign(campaign.id).waves[0] == before.waves[0]


def test_a_late_change_that_is_told_of_twice_stops_once() -> None:
    world, campaign = second_wave_open()
    world.regress_one(campaign.id)
    world.bus.send(Queue.CAMPAIGN_STEPS, [request_evaluation(campaign.id, 1, world.now.replace(year=2027))])
    world.run_until(campaign.id, C.PAUSED)
    world.run()
    assert [entry.what for entry in world.audit.read(campaign.id)].count("stop") == 1


def test_a_late_failure_stops_a_campaign_that_waits_for_people_too() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(waves=TWO_WAVES, approval={"required": 1, "between_waves": True})
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    world.act(campaign.id, "approve")
    world.run(lambda: world.campaign(campaign.id).waves[0].state is W.PASSED)
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    world.regress_one(campaign.id)
    assert "had let it pass" in world.run_until(campaign.id, C.PAUSED).reason


def test_what_was_accepted_and_then_mended_hides_no_failure_that_comes_late() -> None:
    """Three failed, were accepted, and succeeded when they were tried again: three others are three."""
    world = CampaignWorld(fleet(10))
    bad, silent = fleet(10)[:3], fleet(10)[3]
    ends: dict[str, S | None] = dict.fromkeys(bad, S.FAILED) | {silent: None}
    world.outcome = lambda device: ends.get(device, S.SUCCEEDED)
    campaign = world.post(gate={"failure_count": 3, "success_percent": 60})
    world.run_until(campaign.id, C.PAUSED)
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    ends = {silent: None}
    world.act(campaign.id, "retry-failed")
    world.run(
        lambda: all(
            row.state is S.SUCCEEDED for row in world.rollouts.rows(campaign.id).values() if row.device != silent
        )
    )
    world.run(hours=1)

    world.set_state(world.rollouts.rows(campaign.id)[DeviceId(silent)], S.FAILED)
    for _ in range(2):
        assert world.campaign(campaign.id).state is C.COMPLETED
        world.regress_one(campaign.id)
        world.run(hours=0.1)
    stopped = world.campaign(campaign.id)
    assert (stopped.state, stopped.waves[0].state) == (C.PAUSED, W.FAILED)
    assert "3 devices failed, the gate stops at 3" in stopped.reason


def test_a_campaign_that_is_being_archived_is_not_opened_again() -> None:
    """Rows may be gone: nobody could look, retry or revert."""
    world = CampaignWorld(fleet(10))
    campaign = world.post()
    done = world.run_until(campaign.id, C.COMPLETED)
    stored = world.campaigns.get(campaign.id)
    world.campaigns.save(Stored(value=replace(done, archive=Archive(begun_at=world.now)), etag=stored.etag))
    world.regress_one(campaign.id)
    world.run(hours=1)
    assert world.campaign(campaign.id).state is C.COMPLETED
    assert alerts(world) == []
