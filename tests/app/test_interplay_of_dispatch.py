"""What holds where features meet: retries, conflicts, stops, skipped waves and ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.conflicts import OnConflict, Precedence
from shared.domain.retries import Retries
from shared.domain.rollouts import RolloutState
from shared.domain.schedules import Schedule
from shared.domain.stops import stop
from shared.domain.walks import BatchPurpose
from shared.domain.waves import WaveState
from shared.handlers.dispatch_batch import dispatch_batch
from shared.handlers.fold_reports import fold_reports
from shared.handlers.wakeups import (
    offers_in_turn,
    request_attempts,
    request_work,
    request_work_again,
    request_work_later,
)
from shared.ports.bus import Queue
from shared.ports.stored import Stored
from shared.wire.messages import BatchWork, read_batch_work
from shared.wire.reports import read_report_batch
from tests.app.test_conflicts import Contested, all_in
from tests.app.test_retries import NAMES, TWICE, deliver_work, fail, plane_with
from tests.support.data_plane import DataPlane
from tests.support.mortal import Died
from tests.support.rollouts import CAMPAIGN, NOON

S, C, W = RolloutState, CampaignState, WaveState


def test_soft_cancel_then_failure_ends_the_row() -> None:
    plane = plane_with(TWICE)
    plane.relay([plane.says("gw-1", "installing", 1)])
    plane.fold()
    plane.set_campaign(C.ABORTED)
    plane.dispatch(purpose=BatchPurpose.RECALL)
    assert plane.row("gw-1").state is S.INSTALLING
    plane.events.events.clear()
    fail(plane, 2)
    for _ in range(50):
        plane.pass_time(600)
        deliver_work(plane)
        plane.visit()
    assert plane.row("gw-1").is_final, plane.row("gw-1")
    assert plane.record("gw-1").held_by is None


def test_failure_in_a_skipped_wave_ends_the_row() -> None:
    plane = plane_with(TWICE)
    plane.set_wave(W.SKIPPED)
    plane.dispatch(purpose=BatchPurpose.SKIP)
    fail(plane, 1)
    for _ in range(50):
        plane.pass_time(600)
        deliver_work(plane)
        plane.visit()
    assert plane.row("gw-1").is_final, plane.row("gw-1")
    assert plane.record("gw-1").held_by is None


def test_operators_retry_leaves_skipped_waves_alone() -> None:
    plane = plane_with(Retries())
    fail(plane, 1)
    plane.set_wave(W.SKIPPED)
    plane.dispatch(purpose=BatchPurpose.RETRY)
    assert plane.row("gw-1").is_final, plane.row("gw-1")


def test_operators_retry_that_comes_twice_opens_one_attempt() -> None:
    plane = plane_with(Retries())
    fail(plane, 1)
    plane.pass_time(10)
    work = BatchWork(
        campaign=CAMPAIGN,
        batch=plane.batches[0],
        purpose=BatchPurpose.RETRY,
        step=7,
        slot_epoch_s=int(plane.now.timestamp()),
    )
    dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
    row = plane.row("gw-1")
    plane.pass_time(10)
    plane.events.events.clear()
    fail(plane, 20, attempt=row.attempt, sequence=row.sequence)
    assert plane.row("gw-1").state is S.FAILED
    dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
    assert (plane.row("gw-1").state, plane.row("gw-1").attempt) == (S.FAILED, 2)


def test_one_operators_retry_with_a_waiting_neighbour_is_one_attempt() -> None:
    plane = Contested(all_in(S.OFFERED), Precedence(on_conflict=OnConflict.WAIT))
    plane.end("gw-1", S.FAILED)
    plane.dispatch()
    rounds = 0
    row = plane.row("gw-1")
    fail(plane, 1, attempt=row.attempt, sequence=row.sequence)
    assert plane.row("gw-1").state is S.FAILED
    plane.bus.waiting.clear()
    plane.pass_time(60)
    plane.dispatch(purpose=BatchPurpose.RETRY)
    for at in range(2, 8):
        row = plane.row("gw-1")
        plane.events.events.clear()
        fail(plane, at, attempt=row.attempt, sequence=row.sequence)
        plane.pass_time(60)
        rounds += deliver_work(plane)
    assert plane.row("gw-1").attempt == 2, plane.row("gw-1").attempt


def test_work_of_one_batch_that_is_put_off_comes_back_as_one_message() -> None:
    """None is taken for a repeat of the batch's first offers, nor that of one batch for another's."""
    plane = DataPlane([f"gw-{n}" for n in range(200)])
    rows = [replace(row, attempt=2, retry_at=NOON) for row in plane.rows().values()]
    asked = [read_batch_work(message.body) for message in request_attempts(rows, 0)]
    assert len(asked) == len(plane.batches) > 1
    sent = [request_work(CAMPAIGN, each, BatchPurpose.OFFER, 3, enqueue_at=NOON) for each in plane.batches]
    first = [read_batch_work(message.body) for message in sent]
    further = [offers_in_turn(CAMPAIGN, each, ready_by=NOON) for each in plane.batches]
    again = {request_work_again(work, enqueue_at=NOON + timedelta(seconds=5)).message_id for work in (*first, *further)}
    later = {request_work_later(work, now=NOON).message_id for work in (*first, *further, *asked)}
    assert len(again) == len(later) == len(plane.batches)
    assert len({*again, *later, *(message.message_id for message in sent)}) == 3 * len(plane.batches)


def test_throttled_retries_of_two_devices_both_go_out() -> None:
    plane = plane_with(TWICE)
    plane.relay([plane.says("gw-0", "failed", 1), plane.says("gw-1", "failed", 1)])
    plane.fold()
    plane.pass_time(61)
    plane.hub.room = 0
    deliver_work(plane)
    plane.hub.room = None
    for _ in range(6):
        plane.pass_time(10)
        deliver_work(plane)
    assert [plane.row(name).sent_at is not None for name in ("gw-0", "gw-1")] == [True, True]


@pytest.mark.parametrize("after", [True, False])
def test_late_failure_is_asked_about_wherever_the_fold_dies(after: bool) -> None:
    missed = []
    for writes in range(4):
        plane = plane_with(Retries())
        plane.relay([plane.says("gw-1", "succeeded", 1)])
        plane.fold()
        plane.set_wave(W.PASSED)
        plane.events.events.clear()
        plane.bus.waiting.clear()
        plane.bus.sent.clear()
        plane.pass_time(30)
        plane.relay([plane.says("gw-1", "downloading", 5, installed={})])
        [event] = plane.events.events
        plane.life.left, plane.life.dies_after_the_write = writes, after
        for _ in range(2):  # Event Grid delivers it again
            try:
                fold_reports(read_report_batch(event.data), plane.fold_ports())
            except Died:
                plane.life.left = None
        plane.life.left = None
        plane.visit()
        assert plane.row("gw-1").state is S.REGRESSED
        if not plane.bus.sent_to(Queue.CAMPAIGN_STEPS):
            missed.append(writes)
    assert missed == []


def test_a_straggler_whose_failure_nobody_was_told_of_is_found_by_the_next_visit() -> None:
    """Its wave has passed, and its campaign has completed: no step and no sweep looks at them any more."""
    plane = plane_with(Retries())
    plane.set_wave(W.PASSED)
    plane.set_campaign(C.COMPLETED)
    plane.bus.sent.clear()
    plane.relay([plane.says("gw-1", "failed", 1)])
    [event] = plane.events.events
    plane.life.left = 0  # it dies behind the write of the row
    with pytest.raises(Died):
        fold_reports(read_report_batch(event.data), plane.fold_ports())
    fold_reports(read_report_batch(event.data), plane.fold_ports())
    assert plane.row("gw-1").state is S.FAILED
    assert not plane.bus.sent_to(Queue.CAMPAIGN_STEPS)
    plane.visit()
    assert len(plane.bus.sent_to(Queue.CAMPAIGN_STEPS)) == 1


def test_a_visit_that_settles_what_it_read_before_a_retry_leaves_its_hold() -> None:
    plane = plane_with(Retries())
    fail(plane, 1)
    # Between the visit's reading of rollout rows and of device rows an operator's retry comes through.
    read = plane.devices.read_batch

    def late(devices):
        plane.devices.read_batch = read
        plane.dispatch(purpose=BatchPurpose.RETRY)
        return read(devices)

    plane.devices.read_batch = late
    plane.visit()
    assert plane.row("gw-1").state is S.OFFERED
    assert plane.record("gw-1").held_by == CAMPAIGN


def test_a_retry_message_that_comes_during_a_pause_is_not_lost() -> None:
    """docs/campaigns.md: a paused campaign does it once it is resumed. The walk is over once all slots are granted."""
    plane = plane_with(Retries())
    fail(plane, 1)
    plane.bus.waiting.clear()
    plane.set_campaign(C.PAUSED)
    plane.dispatch(purpose=BatchPurpose.RETRY)
    plane.set_campaign(C.RUNNING)
    for _ in range(30):
        plane.pass_time(120)
        deliver_work(plane)
        plane.visit()
    assert plane.row("gw-1").attempt == 2


def test_a_retry_of_a_completed_campaign_that_meets_its_schedules_end_ends() -> None:

    plane = DataPlane(NAMES)
    stored = plane.campaigns.get(CAMPAIGN)
    spec = replace(stored.value.spec, retries=TWICE, schedule=Schedule(end_at=NOON + timedelta(seconds=90)))
    plane.campaigns.save(Stored(value=plane.specs.sign(replace(stored.value, spec=spec)), etag=stored.etag))
    plane.dispatch()
    plane.set_campaign(C.COMPLETED)
    fail(plane, 1)  # tries again at 60 s, before the end
    plane.pass_time(61)
    plane.hub.room = 0  # throttled: it is written later
    deliver_work(plane)
    plane.hub.room = None
    plane.pass_time(60)
    for _ in range(30):
        plane.pass_time(60)
        deliver_work(plane)
    plane2 = DataPlane(NAMES)
    stored = plane2.campaigns.get(CAMPAIGN)
    plane2.campaigns.save(Stored(value=plane2.specs.sign(replace(stored.value, spec=spec)), etag=stored.etag))
    plane2.dispatch()
    plane2.set_campaign(C.COMPLETED)
    fail(plane2, 1)
    plane2.pass_time(100)  # the message was late
    for _ in range(60):
        deliver_work(plane2)
        plane2.visit()
        plane2.pass_time(600)
    assert plane2.row("gw-1").is_final, plane2.row("gw-1").state


def test_a_batch_put_off_is_not_taken_for_one_of_its_devices() -> None:

    plane = DataPlane([f"gw-{n}" for n in range(20)])
    stopped = plane.stops.get()
    plane.stops.save(Stored(value=stop(stopped.value, "x", who="ada", now=NOON), etag=stopped.etag))

    row = replace(plane.row("gw-1"), attempt=2, retry_at=NOON)
    [message] = request_attempts([row], 0)
    dispatch_batch(read_batch_work(message.body), plane.dispatch_ports(), now=plane.now)
    plane.dispatch()
    standing = plane.stops.get()
    plane.stops.save(Stored(value=stopped.value, etag=standing.etag))
    for _ in range(8):
        plane.pass_time(15)
        deliver_work(plane)
    assert plane.states() == {S.OFFERED}, [row.state for row in plane.rows().values()].count(S.OFFERED)
