"""Further attempts keep to the hub's budget and the campaign's pace as first ones do (invariant I6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.conflicts import Precedence
from shared.domain.pacing import HORIZON_S
from shared.domain.rates import ConstantRate, Pace
from shared.domain.retries import Retries
from shared.domain.rollouts import RolloutState
from shared.domain.stops import release, stop
from shared.handlers.dispatch_batch import dispatch_batch
from shared.ports.bus import Queue
from shared.ports.stored import Stored
from shared.wire.messages import read_batch_work
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.clocked_plane import BATCH, DEVICES_PER_S, Ask, ClockedPlane, most_in
from tests.support.mortal import Died
from tests.support.rollouts import CAMPAIGN, NOON

S, C = RolloutState, CampaignState
ONCE = Retries(maximum=1, backoff_s=60, jitter=0.2)


class Failed(ClockedPlane):
    """A campaign whose devices have all failed once, and wait for their next attempt."""

    def __init__(self, devices: int, **spec: object) -> None:
        super().__init__(devices, retries=ONCE, **spec)
        for batch in self.batches:
            self.dispatch(batch)
        self.bus.waiting.clear()
        self.relay([self.says(name, "failed", 1) for name in self.names])
        self.fold()
        self.recorder.asks.clear()

    @property
    def offers(self) -> list[Ask]:
        """When each further offer was written."""
        return self.asks

    def attempts(self) -> set[tuple[RolloutState, int]]:
        return {(row.state, row.attempt) for row in self.rows().values()}

    def check_all_offered_once(self) -> None:
        assert self.attempts() == {(S.OFFERED, 2)}
        assert sorted(device for _, device in self.offers) == sorted(self.names)
        self.check_counters()


def test_retries_by_policy_are_charged_as_first_offers_are() -> None:
    plane = Failed(60)
    before = plane.budget.writes
    plane.run(lambda: bool(plane.offers))
    assert plane.charged_s() == pytest.approx(len(plane.offers) / DEVICES_PER_S)
    assert plane.budget.writes - before == 1
    plane.run()
    plane.check_all_offered_once()


@pytest.mark.parametrize("window_s", [10, 60, 120])
def test_a_mass_retry_stays_within_the_hubs_budget_and_asks_for_slots_by_the_batch(window_s: float) -> None:
    plane = Failed(1500)
    sent, written, began = len(plane.bus.sent), plane.budget.writes, plane.now
    asked = [entry for entry in plane.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]
    assert len(asked) <= 6 * len(plane.batches), "one message a batch and time, not one a device"
    plane.run()
    plane.check_all_offered_once()
    assert most_in(plane.offers, window_s) <= DEVICES_PER_S * window_s + BATCH
    took_s = (plane.offers[-1][0] - began).total_seconds()
    assert took_s <= 60 + 1500 / DEVICES_PER_S * 1.25, "and the hub does not idle for long"
    # Each batch comes in few groups; one that finds no room looks about twice a minute.
    assert plane.budget.writes - written <= 8 * len(plane.batches)
    assert len(plane.bus.sent) - sent <= 25 * len(plane.batches)


def test_a_retry_keeps_to_the_pace_of_its_campaign() -> None:
    plane = Failed(300, pace=Pace(rate=ConstantRate(devices_per_minute=60)))
    plane.run()
    plane.check_all_offered_once()
    assert most_in(plane.offers, 120) <= 120 + BATCH
    paced = plane.campaigns.get(CAMPAIGN).value.paced
    assert paced is not None
    assert paced.at >= plane.offers[-1][0] - timedelta(seconds=1)


def test_retries_leave_the_hub_to_a_campaign_of_higher_priority() -> None:
    plane = Failed(60, precedence=Precedence(priority=100))
    stored = plane.budget.get()
    until = NOON + timedelta(minutes=5)
    plane.budget.save(replace(stored, value=replace(stored.value, urgent_priority=900, urgent_until=until)))
    plane.run()
    assert min(at for at, _ in plane.offers) >= until
    plane.check_all_offered_once()


def test_while_the_fleet_is_stopped_no_retry_takes_a_slot_and_after_it_they_go_out_within_the_budget() -> None:
    plane = Failed(500)
    plane.stop_fleet()
    plane.run(hours=1)
    assert plane.offers == []
    assert plane.charged_s() <= 0
    plane.release_fleet()
    plane.run()
    plane.check_all_offered_once()
    assert most_in(plane.offers, HORIZON_S) <= DEVICES_PER_S * HORIZON_S + BATCH


def test_a_stop_that_comes_between_a_slot_and_its_time_has_the_attempts_ask_anew() -> None:
    plane = Failed(500)
    plane.run(lambda: bool(plane.offers))
    plane.stop_fleet()
    offered = len(plane.offers)
    plane.run(hours=1)
    assert len(plane.offers) == offered
    plane.release_fleet()
    plane.run()
    plane.check_all_offered_once()
    assert most_in(plane.offers, HORIZON_S) <= DEVICES_PER_S * HORIZON_S + BATCH


def test_retries_wait_out_a_pause_and_look_less_and_less_often() -> None:
    plane = Failed(500)
    plane.run(lambda: bool(plane.offers))
    plane.change(state=C.PAUSED, state_since=plane.now)
    offered, sent = len(plane.offers), len(plane.bus.sent)
    plane.run(hours=48)
    assert len(plane.offers) == offered
    assert len(plane.bus.sent) - sent <= len(plane.batches) * (48 * 6 + 60)
    plane.change(state=C.RUNNING)
    plane.run()
    plane.check_all_offered_once()


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_a_death_between_slot_and_offer_loses_no_retry_and_doubles_none(after: bool) -> None:
    """The message that the process had in hand comes again."""
    deaths = 0
    for writes in count():
        plane = Failed(120)
        plane.life.left, plane.life.dies_after_the_write = writes, after
        died = False
        while work := sorted(
            (entry for entry in plane.bus.waiting if entry.queue is Queue.DEVICE_BATCHES), key=lambda e: e.visible_at
        ):
            plane.now = plane.bus.now = max(plane.now, work[0].visible_at)
            try:
                dispatch_batch(read_batch_work(work[0].message.body), plane.dispatch_ports(), now=plane.now)
            except Died:
                died = True
            else:
                plane.bus.waiting.remove(work[0])
        if not died:
            break
        deaths += 1
        assert plane.attempts() == {(S.OFFERED, 2)}, f"died at write {writes}"
        again = len(plane.offers) - len(plane.names)
        assert 0 <= again <= BATCH, "only what was written and not stamped is written again, with the same claim"
        for name, row in plane.rows().items():
            assert row.sent_at is not None
            assert plane.hub.desired[name]["update"]["sequence"] == row.sequence == plane.record(name).sequence
        plane.check_counters()
    assert deaths >= 8


@pytest.mark.parametrize("why", ["no room", "stopped", "paused"])
def test_what_is_put_off_by_a_clock_that_is_behind_is_no_repeat_of_itself(why: str) -> None:
    """Duplicate detection would drop it, and the attempts would wait for the next visit."""
    plane = Failed(1, precedence=Precedence(priority=100))
    match why:
        case "no room":
            stored = plane.budget.get()
            until = NOON + timedelta(seconds=90)
            plane.budget.save(replace(stored, value=replace(stored.value, urgent_priority=900, urgent_until=until)))
        case "stopped":
            plane.stop_fleet()
        case _:
            plane.change(state=C.PAUSED, state_since=NOON)
    for _ in range(3):
        [entry] = [each for each in plane.bus.waiting if each.queue is Queue.DEVICE_BATCHES]
        plane.bus.waiting.remove(entry)
        plane.bus.now = entry.visible_at
        dispatch_batch(
            read_batch_work(entry.message.body), plane.dispatch_ports(), now=entry.visible_at - timedelta(seconds=2)
        )
        if plane.offers:
            break


def test_messages_that_are_lost_are_asked_for_by_the_next_visits() -> None:
    plane = Failed(250)
    plane.run(lambda: bool(plane.offers))
    plane.bus.waiting.clear()
    plane.pass_time(400)
    for batch in plane.batches:
        plane.visit(batch)
    plane.run()
    plane.check_all_offered_once()
    assert most_in(plane.offers, HORIZON_S) <= DEVICES_PER_S * HORIZON_S + BATCH


def test_visits_hand_out_no_second_slot_while_retries_wait_for_theirs() -> None:
    """A backlog of minutes is no lost message."""
    plane = Failed(1000)
    for _ in range(10):
        plane.run(hours=1 / 60)
        for batch in plane.batches:
            plane.visit(batch)
        plane.pass_time(1)
    plane.run()
    plane.check_all_offered_once()
    assert most_in(plane.offers, HORIZON_S) <= DEVICES_PER_S * HORIZON_S + BATCH


def test_an_operators_retry_keeps_to_the_campaigns_pace() -> None:
    world = CampaignWorld(fleet(60), outcome=lambda _device: S.FAILED)
    campaign = world.post(rate={"devices_per_minute": 6}, gate={"success_percent": 0, "failure_percent": None})
    world.run_until(campaign.id, C.COMPLETED)
    begun = world.now
    world.act(campaign.id, "retry-failed")
    world.run(lambda: not world.campaign(campaign.id).walks)
    assert world.now - begun > timedelta(minutes=8)


def test_an_operators_retry_charges_those_that_failed_and_looks_into_batches_by_the_step() -> None:
    devices = fleet(3000)
    bad = set(devices[::50])
    world = CampaignWorld(devices, outcome=lambda device: S.FAILED if device in bad else S.SUCCEEDED, rate_per_s=50.0)
    campaign = world.post(gate={"success_percent": 0, "failure_percent": None})
    world.run_until(campaign.id, C.COMPLETED)
    world.run(hours=1)
    begun = world.now
    world.outcome = lambda _device: S.SUCCEEDED
    world.act(campaign.id, "retry-failed")
    world.run(lambda: not world.campaign(campaign.id).walks)
    assert world.now - begun < timedelta(seconds=len(bad) / 10 + 10), "3,000 devices would take five minutes"
    world.run(hours=1)
    assert {row.state for row in world.rollouts.rows(campaign.id).values()} == {S.SUCCEEDED}


def test_an_operators_retry_waits_while_the_fleet_is_stopped() -> None:
    world = CampaignWorld(fleet(300), outcome=lambda _device: S.FAILED)
    campaign = world.post(gate={"success_percent": 0, "failure_percent": None})
    world.run_until(campaign.id, C.COMPLETED)
    standing = world.stops.get()
    world.stops.save(Stored(value=stop(standing.value, "bad", who="ada", now=world.now), etag=standing.etag))
    world.act(campaign.id, "retry-failed")
    before = len(world.bus.sent_to(Queue.DEVICE_BATCHES))
    world.run(hours=0.5)
    assert len(world.bus.sent_to(Queue.DEVICE_BATCHES)) == before
    standing = world.stops.get()
    world.stops.save(Stored(value=release(standing.value, who="ada", now=world.now), etag=standing.etag))
    world.outcome = lambda _device: S.SUCCEEDED
    world.run(hours=1)
    assert {row.state for row in world.rollouts.rows(campaign.id).values()} == {S.SUCCEEDED}
