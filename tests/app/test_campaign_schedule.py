"""Campaigns that start and end by the clock."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict, DomainError
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.waves import WaveState
from shared.handlers.advance_campaign import advance_campaign
from shared.ports.bus import Queue
from shared.wire.http_fields import InvalidRequest
from shared.wire.messages import read_campaign_step
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.dry_run_world import DryRunWorld
from tests.support.mortal import Died, Faults, Life, check_every_death

C, S = CampaignState, RolloutState
TWO_WAVES = [{"count": 5}, {"rest": True}]
ONE, TWO = NOON + timedelta(hours=1), NOON + timedelta(hours=2)


def schedule(start: datetime | None = None, end: datetime | None = None, at_end: str | None = None) -> dict[str, Any]:
    fields = {"start_at": start and start.isoformat(), "end_at": end and end.isoformat(), "at_end": at_end}
    return {name: value for name, value in fields.items() if value is not None}


def states(world: CampaignWorld, campaign: Campaign) -> set[RolloutState]:
    return {row.state for row in world.rollouts.rows(campaign.id).values()}


def test_a_campaign_waits_for_its_start_and_wakes_once() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(schedule=schedule(ONE))
    waiting = world.run_until(campaign.id, C.SCHEDULED)
    assert (waiting.step_due_at, waiting.reason) == (ONE, f"starts at {ONE.isoformat()}")
    sent = len(world.bus.sent)
    world.run(lambda: world.now >= ONE - timedelta(minutes=1))
    assert states(world, campaign) == {S.PLANNED}
    assert len(world.bus.sent) == sent, "nothing is sent while it waits"
    done = world.run_until(campaign.id, C.COMPLETED)
    assert done.waves[0].started_at is not None
    assert ONE <= done.waves[0].started_at < ONE + timedelta(seconds=5)


def test_a_lost_wake_up_starts_the_campaign_within_minutes() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(schedule=schedule(ONE))
    world.run_until(campaign.id, C.SCHEDULED)
    world.bus.waiting.clear()
    done = world.run_until(campaign.id, C.COMPLETED)
    assert done.waves[0].started_at is not None
    assert ONE <= done.waves[0].started_at <= ONE + timedelta(minutes=3)


def test_a_wake_up_that_comes_too_early_is_asked_for_again() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(schedule=schedule(ONE))
    waiting = world.run_until(campaign.id, C.SCHEDULED)
    [entry] = [entry for entry in world.bus.waiting if entry.queue is Queue.CAMPAIGN_STEPS]
    world.bus.waiting.remove(entry)
    advance_campaign(read_campaign_step(entry.message.body), world.ports, now=ONE - timedelta(seconds=1))
    assert world.campaign(campaign.id).step == waiting.step + 1
    again = world.campaign(campaign.id)
    assert (again.state, again.step_due_at) == (C.SCHEDULED, ONE)
    world.run_until(campaign.id, C.COMPLETED)


def test_an_operator_starts_it_early() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(schedule=schedule(ONE))
    world.run_until(campaign.id, C.SCHEDULED)
    started = world.act(campaign.id, "start")
    assert (started.state, started.reason) == (C.RUNNING, "started early by grace")
    assert world.act(campaign.id, "start") == started
    world.run_until(campaign.id, C.COMPLETED)
    assert world.now < ONE


def test_pause_keeps_a_scheduled_campaign_from_starting_and_resume_lets_it_wait_again() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(schedule=schedule(ONE))
    world.run_until(campaign.id, C.SCHEDULED)
    world.act(campaign.id, "pause")
    world.run()
    assert (world.campaign(campaign.id).state, states(world, campaign)) == (C.PAUSED, {S.PLANNED})
    world.now = world.bus.now = ONE + timedelta(minutes=10)
    assert world.act(campaign.id, "resume").state is C.RUNNING


def test_people_approve_first_and_the_clock_starts_it_then() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(schedule=schedule(ONE), approval={"required": 1})
    world.run_until(campaign.id, C.AWAITING_APPROVAL)
    assert world.act(campaign.id, "approve").state is C.SCHEDULED
    world.run_until(campaign.id, C.COMPLETED)
    assert world.now >= ONE


def slow(world: CampaignWorld, **request: Any) -> Campaign:
    """A campaign in whose first wave two devices are installing and the others have their offer."""
    campaign = world.post(waves=TWO_WAVES, **request)

    def first_wave() -> list[Rollout]:
        return [row for row in world.rollouts.rows(campaign.id).values() if row.wave == 1]

    # Its devices lie in one batch or two, as the campaign's id has it.
    world.run(lambda: first_wave() != [] and all(row.state is S.OFFERED for row in first_wave()))
    for row in first_wave()[:2]:
        world.set_state(row, S.INSTALLING)
    return campaign


def test_at_its_end_a_campaign_pauses_and_devices_that_install_go_on() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = slow(world, schedule=schedule(end=ONE))
    ended = world.run_until(campaign.id, C.PAUSED)
    assert ONE <= world.now < ONE + timedelta(seconds=2)
    assert ended.reason == f"its schedule ended at {ONE.isoformat()}"
    assert states(world, campaign) == {S.PLANNED, S.OFFERED, S.INSTALLING}
    busy = next(row for row in world.rollouts.rows(campaign.id).values() if row.state is S.INSTALLING)
    world.set_state(busy, S.SUCCEEDED)
    world.run()
    assert S.SUCCEEDED in states(world, campaign)
    assert world.campaign(campaign.id).waves[1].state is WaveState.PENDING
    assert [(e.who, e.what) for e in world.audit.read(campaign.id)][-1] == ("schedule", "end")


def test_at_its_end_a_campaign_is_cancelled_where_that_was_asked() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = slow(world, schedule=schedule(end=ONE, at_end="cancel"))
    ended = world.run_until(campaign.id, C.ABORTED)
    assert ended.reason == f"its schedule ended at {ONE.isoformat()}"
    world.run()
    rows = world.rollouts.rows(campaign.id).values()
    assert Counter(row.state for row in rows) == {S.INSTALLING: 2, S.CANCELLED: 28}
    for row in rows:
        if row.state is S.INSTALLING:
            world.set_state(row, S.SUCCEEDED)
    assert Counter(row.state for row in world.rollouts.rows(campaign.id).values())[S.SUCCEEDED] == 2


@pytest.mark.parametrize("waits", ["approval", "pause"])
def test_a_campaign_that_waits_for_people_is_cancelled_at_its_end(waits: str) -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    request: dict[str, Any] = {"approval": {"required": 1}} if waits == "approval" else {}
    campaign = world.post(schedule=schedule(end=ONE, at_end="cancel"), **request)
    world.run_until(campaign.id, C.AWAITING_APPROVAL, C.RUNNING)
    if waits == "pause":
        world.act(campaign.id, "pause")
    world.run_until(campaign.id, C.ABORTED)
    assert ONE <= world.now < ONE + timedelta(seconds=2)


@pytest.mark.parametrize("late_by", [timedelta(minutes=-30), timedelta(hours=1)], ids=["before", "after"])
def test_a_completed_campaign_that_late_failures_open_again_waits_for_people_whatever_its_schedule_says(
    late_by: timedelta,
) -> None:
    """It had done what was asked within its time. Were it cancelled by its end, nobody would be asked."""
    world = CampaignWorld(fleet(30))
    campaign = world.post(waves=TWO_WAVES, schedule=schedule(end=ONE, at_end="cancel"))
    world.run_until(campaign.id, C.COMPLETED)
    world.now = world.bus.now = ONE + late_by
    world.regress_one(campaign.id)
    world.run(lambda: world.now > ONE + timedelta(hours=2))
    found = world.campaign(campaign.id)
    assert (found.state, found.end_awaited) == (C.PAUSED, None)
    assert found.reason.endswith("its schedule has no say any more: resume, cancel or revert it")
    assert [(e.who, e.what) for e in world.audit.read(campaign.id)][-1] == ("gate", "stop")

    world.now = world.bus.now = ONE + timedelta(hours=3)
    resumed = world.act(campaign.id, "resume")
    assert resumed.consents.is_end_waived
    world.run_until(campaign.id, C.COMPLETED)


def test_a_campaign_that_was_not_through_when_late_failures_paused_it_is_cancelled_at_its_end() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(waves=TWO_WAVES, schedule=schedule(end=ONE, at_end="cancel"))
    world.run(lambda: len(world.starts) == 2)
    world.outcome = lambda _device: None
    world.run(lambda: S.OFFERED in states(world, campaign))
    world.regress_one(campaign.id)
    stopped = world.run_until(campaign.id, C.PAUSED)
    ended = world.run_until(campaign.id, C.ABORTED)
    assert ONE <= world.now < ONE + timedelta(seconds=2)
    assert ended.reason == f"its schedule ended at {ONE.isoformat()}, while it was paused: {stopped.reason}"


def test_a_pause_after_a_late_failure_was_accepted_is_a_pause_like_any_other() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(waves=TWO_WAVES, schedule=schedule(end=ONE, at_end="cancel"))
    world.run_until(campaign.id, C.COMPLETED)
    world.regress_one(campaign.id)
    world.run_until(campaign.id, C.PAUSED)
    world.act(campaign.id, "resume")
    world.act(campaign.id, "pause")
    world.run_until(campaign.id, C.ABORTED)


def test_no_wave_starts_and_no_offer_goes_out_after_the_end_though_its_step_is_late() -> None:
    """Work that was queued before the end comes up after it, before the campaign was looked at."""
    world = CampaignWorld(fleet(30), rate_per_s=1.0)
    campaign = world.post(schedule=schedule(end=NOON + timedelta(seconds=30)))
    world.run(lambda: bool(world.starts))
    work = [entry for entry in world.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]
    world.run(lambda: any(entry.queue is Queue.DEVICE_BATCHES for entry in world.bus.waiting))
    work = [entry for entry in world.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]
    assert work
    world.now = world.bus.now = NOON + timedelta(seconds=31)
    before = states(world, campaign)
    for entry in work:
        world._handle(entry)
    assert states(world, campaign) == before
    world.run_until(campaign.id, C.PAUSED)


def test_resuming_after_the_end_lifts_it() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = slow(world, schedule=schedule(end=ONE))
    world.run_until(campaign.id, C.PAUSED)
    world.outcome = lambda _device: S.SUCCEEDED
    resumed = world.act(campaign.id, "resume")
    assert (resumed.state, resumed.reason) == (C.RUNNING, "resumed by grace, after its schedule had ended")
    world.now = world.bus.now = world.now + timedelta(minutes=10)
    world.run(hours=1)
    assert world.campaign(campaign.id).state is C.RUNNING


def test_trying_failed_devices_of_a_completed_campaign_again_lifts_its_end() -> None:
    world = CampaignWorld(fleet(10), outcome=lambda device: S.FAILED if device == "a#1" else S.SUCCEEDED)
    lenient = {"success_percent": 50, "failure_percent": None}
    campaign = world.post(schedule=schedule(end=ONE), gate=lenient)
    world.run_until(campaign.id, C.COMPLETED)
    world.run(lambda: states(world, campaign) == {S.FAILED, S.SUCCEEDED})
    world.now = world.bus.now = TWO
    world.outcome = lambda _device: S.SUCCEEDED
    assert world.act(campaign.id, "retry-failed").consents.is_end_waived
    world.run()
    assert states(world, campaign) == {S.SUCCEEDED}
    assert world.campaign(campaign.id).state is C.COMPLETED


@pytest.mark.parametrize("seed", range(4))
def test_lost_and_repeated_messages_neither_start_it_early_nor_let_it_run_on(seed: int) -> None:
    """I4: the end is kept though every message about it may be lost."""
    faults = Faults(duplicated=0.3, dropped=0.4, reordered=True, seed=seed)
    world = CampaignWorld(fleet(30), faults=faults, outcome=lambda _device: None)
    campaign = world.post(waves=TWO_WAVES, schedule=schedule(ONE, TWO, "cancel"))
    ended = world.run_until(campaign.id, C.ABORTED)
    assert ended.waves[0].started_at is None or ended.waves[0].started_at >= ONE
    assert TWO <= world.now <= TWO + timedelta(minutes=4)


def test_a_death_at_any_write_of_a_scheduled_campaign_ends_in_the_same_tables() -> None:
    """I3, I4: wherever it dies, it starts and ends."""

    def ended(life: Life) -> dict[str, Any]:
        world = CampaignWorld(fleet(20), life=life, outcome=lambda _device: None)
        request: dict[str, Any] = {"key": "once", "waves": TWO_WAVES, "schedule": schedule(ONE, TWO, "cancel")}
        try:
            campaign = world.post(**request)
        except Died:
            campaign = world.post(**request)
        world.run_until(campaign.id, C.ABORTED)
        world.run()
        world.check_counters(campaign.id)
        assert [entry.what for entry in world.audit.read(campaign.id)] == ["create", "end"]
        return world.end_state(campaign.id)

    check_every_death(ended)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({}, "schedule: give start_at, end_at or both"),
        (schedule(TWO, ONE), "schedule: end_at must lie after start_at"),
        (schedule(ONE, ONE), "schedule: end_at must lie after start_at"),
        (schedule(ONE, at_end="pause"), "schedule: at_end needs an end_at"),
        (schedule(end=ONE, at_end="explode"), "schedule.at_end: "),
        ({"start_at": "2026-01-01T13:00:00"}, "schedule.start_at: .*timezone"),
        ({"start_at": "tomorrow"}, "schedule.start_at: "),
        (schedule(NOON - timedelta(minutes=6)), "schedule.start_at: .* has passed"),
        (schedule(end=NOON), "schedule.end_at: .* has passed"),
        (schedule(NOON + timedelta(days=400)), "schedule.start_at: must lie within 366 days"),
        ({"starts": "now"}, "schedule.starts: "),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused_by_its_field(asked: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DomainError, match=complaint) as refused:
        CampaignWorld(fleet(3)).post(schedule=asked)
    assert refused.value.code == InvalidRequest.code


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({}, "approval.required: "),
        ({"required": 0}, "approval.required: "),
        ({"required": 6}, "approval.required: "),
        ({"required": "2"}, "approval.required: "),
        ({"required": 1, "by": "grace"}, "approval.by: "),
    ],
)
def test_an_approval_policy_that_makes_no_sense_is_refused_by_its_field(asked: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        CampaignWorld(fleet(3)).post(approval=asked)


def test_a_repeated_request_is_answered_though_its_start_has_passed() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(key="once", schedule=schedule(ONE))
    world.now = TWO
    assert world.post(key="once", schedule=schedule(ONE)).id == campaign.id


def test_a_start_just_past_means_now() -> None:
    world = CampaignWorld(fleet(3))
    campaign = world.post(schedule=schedule(NOON - timedelta(minutes=4)))
    world.run_until(campaign.id, C.COMPLETED)


def test_a_scheduled_campaign_cannot_be_approved() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(schedule=schedule(ONE))
    world.run_until(campaign.id, C.SCHEDULED)
    with pytest.raises(
        Conflict, match="is scheduled: approve does not fit, these actions do: start or pause or cancel"
    ):
        world.act(campaign.id, "approve")


def test_windows_of_which_none_opens_before_the_end_are_refused_in_earnest_and_in_a_dry_run() -> None:
    """NOON is a Thursday; it is noon on Friday first in Kiribati, at 22:00 UTC on Thursday."""
    world = DryRunWorld()
    window = {"days": ["fri"], "start": "12:00", "end": "12:30", "zone": "device"}
    opens = datetime.combine(NOON.date(), time(22), UTC)
    asked = {"windows": [window], "targets": {"devices": fleet(5)}}
    for post in (world.campaigns.post, world.start):
        with pytest.raises(DomainError, match=r"windows: the first one opens at 2026-01-01T22:00:00.*no device"):
            post(schedule=schedule(end=opens), **asked)
    assert not world.campaigns.campaigns_known()
    later = schedule(end=opens + timedelta(minutes=1))
    assert world.campaigns.post(schedule=later, **asked).state is C.PLANNING
