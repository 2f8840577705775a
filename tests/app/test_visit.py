"""Visiting a batch: silence ends in a time-out, ends are settled in the device rows, open rows are visited again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.devices import claim
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import RolloutState
from shared.ports.bus import Queue
from shared.ports.stored import Stored
from shared.wire.messages import read_batch_visit
from tests.support.campaign_world import Died
from tests.support.data_plane import DataPlane
from tests.support.made_campaigns import DEADLINES
from tests.support.rollouts import CAMPAIGN, NOON, TARGET

S = RolloutState
NAMES = ["gw-0", "gw-1", "gw-2"]


def offered() -> DataPlane:
    plane = DataPlane(NAMES)
    plane.dispatch()
    return plane


def test_a_silent_device_times_out_with_the_state_it_was_in() -> None:
    plane = offered()
    plane.relay([plane.says("gw-1", "installing", 1)])
    plane.fold()
    plane.pass_time(DEADLINES.installing_s)
    assert plane.visit() == 1
    assert (plane.row("gw-1").state, plane.row("gw-1").code) == (S.TIMED_OUT, "installing")
    assert plane.row("gw-0").state is S.OFFERED
    plane.pass_time(DEADLINES.offered_s)
    assert plane.visit() == 2
    assert {row.code for row in plane.rows().values()} == {"offered", "installing"}
    plane.check_counters()
    assert plane.bus.sent_to(Queue.CAMPAIGN_STEPS)


def test_nothing_times_out_a_second_before_its_deadline() -> None:
    plane = offered()
    plane.pass_time(DEADLINES.offered_s - 1)
    assert plane.visit() == 0


def test_ends_free_their_devices_and_keep_what_runs() -> None:
    plane = offered()
    plane.relay([plane.says("gw-0", "succeeded", 1), plane.says("gw-1", "failed", 1)])
    plane.fold()
    plane.visit()
    assert plane.record("gw-0").held_by is None
    assert plane.record("gw-0").installed == {TARGET.name: TARGET.version}
    assert plane.record("gw-1").installed == {TARGET.name: "1.4.0"}
    assert plane.record("gw-2").held_by == CAMPAIGN


def test_a_settled_batch_is_written_once() -> None:
    plane = offered()
    plane.relay([plane.says(name, "succeeded", 1) for name in NAMES])
    plane.fold()
    plane.visit()
    settled = plane.record("gw-0")
    plane.pass_time(60)
    plane.visit()
    assert plane.record("gw-0") == settled


def test_a_device_that_a_later_campaign_claimed_is_left_to_it() -> None:
    plane = offered()
    plane.relay([plane.says("gw-0", "succeeded", 1)])
    plane.fold()
    stored = plane.devices.read_batch([DeviceId("gw-0")])[DeviceId("gw-0")]
    later = claim(stored.value, CampaignId("the-next-one"), now=NOON)
    plane.devices.write([Stored(value=later, etag=stored.etag)])
    plane.visit()
    assert plane.record("gw-0") == later


def test_open_rows_are_visited_again_before_any_deadline_can_pass_by_unseen() -> None:
    plane = offered()
    plane.visit()
    [again] = plane.bus.sent_to(Queue.BATCH_DEADLINES)
    assert again.enqueue_at is not None
    shortest = timedelta(seconds=DEADLINES.shortest_s)
    assert NOON + shortest <= again.enqueue_at <= NOON + shortest * 1.25
    assert read_batch_visit(again.body).batch == plane.batches[0]


def test_chains_of_visits_seconds_apart_become_one() -> None:
    plane = offered()
    for _ in range(5):
        plane.visit()
        plane.pass_time(1)
    messages = plane.bus.sent_to(Queue.BATCH_DEADLINES)
    assert len(messages) <= 2
    assert len({message.message_id for message in messages}) == len({message.enqueue_at for message in messages})


def test_a_batch_whose_rows_have_all_ended_is_not_visited_again() -> None:
    plane = offered()
    plane.relay([plane.says(name, "succeeded", 1) for name in NAMES])
    plane.fold()
    plane.visit()
    assert not plane.bus.sent_to(Queue.BATCH_DEADLINES)


def test_a_batch_that_is_not_offered_yet_is_visited_again() -> None:
    plane = DataPlane(NAMES)
    assert plane.visit() == 0
    assert len(plane.bus.sent_to(Queue.BATCH_DEADLINES)) == 1


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_dying_at_any_write_and_being_redelivered_ends_in_the_same_tables(after: bool) -> None:
    for writes in range(5):
        plane = offered()
        plane.relay([plane.says("gw-0", "succeeded", 1)])
        plane.fold()
        plane.pass_time(DEADLINES.offered_s)
        plane.life.left, plane.life.dies_after_the_write = writes, after
        try:
            plane.visit()
        except Died:
            plane.visit()
        plane.life.left = None
        assert [plane.row(name).state for name in NAMES] == [S.SUCCEEDED, S.TIMED_OUT, S.TIMED_OUT]
        assert {plane.record(name).held_by for name in NAMES} == {None}
        plane.check_counters()
