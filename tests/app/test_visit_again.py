"""What a visit sends: the next visit, offers whose messages were lost, and evaluations that are not dropped."""

from __future__ import annotations

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.ids import DeviceId
from shared.domain.rollouts import RolloutState
from shared.handlers.dispatch_batch import dispatch_batch
from shared.handlers.visit_batch import LOST_AFTER_S
from shared.ports.bus import Queue
from shared.ports.hub import TwinOutcome
from shared.wire.messages import read_batch_visit, read_batch_work
from tests.support.data_plane import DataPlane
from tests.support.made_campaigns import DEADLINES
from tests.support.rollouts import NOON

S = RolloutState
NAMES = ["gw-0", "gw-1", "gw-2"]


def marked_only() -> DataPlane:
    """Rows marked as offered, whose twins were not written, and whose message is lost."""
    plane = DataPlane(NAMES)
    plane.hub.verdicts = dict.fromkeys(plane.names, TwinOutcome.UNAVAILABLE)
    plane.dispatch()
    plane.hub.verdicts.clear()
    plane.bus.waiting.clear()
    return plane


def test_an_instance_whose_clock_is_behind_does_not_send_the_visit_it_is_at() -> None:
    plane = DataPlane(NAMES)
    plane.dispatch()
    plane.visit()
    [first] = plane.bus.sent_to(Queue.BATCH_DEADLINES)
    assert first.enqueue_at is not None
    plane.pass_time((first.enqueue_at - NOON).total_seconds() - DEADLINES.shortest_s)
    plane.visit(due=first.enqueue_at)
    again = plane.bus.sent_to(Queue.BATCH_DEADLINES)[-1]
    assert again.message_id != first.message_id
    assert again.enqueue_at is not None
    assert again.enqueue_at > first.enqueue_at
    assert read_batch_visit(again.body).due_epoch_s == again.enqueue_at.timestamp()


def lost_messages() -> list[DataPlane]:
    return [DataPlane(NAMES), marked_only()]


@pytest.mark.parametrize("place", [0, 1], ids=["planned", "marked as offered"])
@pytest.mark.parametrize("state", [CampaignState.RUNNING, CampaignState.COMPLETED])
def test_a_batch_whose_dispatch_was_lost_is_dispatched_by_its_visit(place: int, state: CampaignState) -> None:
    plane = lost_messages()[place]
    plane.set_campaign(state)
    plane.pass_time(LOST_AFTER_S)
    plane.visit()
    [work] = plane.bus.sent_to(Queue.DEVICE_BATCHES)[-1:]
    dispatch_batch(read_batch_work(work.body), plane.dispatch_ports(), now=plane.now)
    assert {row.sent_at for row in plane.rows().values()} == {plane.now}
    assert set(plane.hub.writes.values()) == {1}


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.ABORTED])
def test_a_campaign_that_makes_no_offers_makes_none_again(state: CampaignState) -> None:
    plane = DataPlane(NAMES)
    plane.set_campaign(state)
    plane.pass_time(LOST_AFTER_S)
    plane.visit()
    assert not plane.bus.sent_to(Queue.DEVICE_BATCHES)


def test_rows_that_are_offered_or_were_marked_just_now_are_not_offered_again() -> None:
    plane = DataPlane(NAMES)
    plane.dispatch()
    plane.pass_time(LOST_AFTER_S)
    plane.visit()
    fresh = DataPlane(NAMES)
    fresh.pass_time(LOST_AFTER_S - 1)
    fresh.visit()
    assert not plane.bus.sent_to(Queue.DEVICE_BATCHES) + fresh.bus.sent_to(Queue.DEVICE_BATCHES)


def test_lost_offers_are_asked_for_again_under_an_id_that_no_earlier_message_had() -> None:
    plane = marked_only()
    for _ in range(3):
        plane.pass_time(LOST_AFTER_S)
        plane.visit()
    ids = [message.message_id for message in plane.bus.sent_to(Queue.DEVICE_BATCHES)]
    assert len(set(ids)) >= 2


def test_an_evaluation_is_asked_for_with_a_time_read_after_the_counters_were_written() -> None:
    plane = DataPlane(NAMES)
    plane.hub.delete(DeviceId("gw-0"))

    def wait() -> None:
        plane.pass_time(30)

    plane.hub.meanwhile = wait
    plane.dispatch()
    [asked] = plane.bus.sent_to(Queue.CAMPAIGN_STEPS)
    assert asked.enqueue_at is not None
    assert asked.enqueue_at > plane.now
