"""Folding: rows and counters end the same however reports come, whoever else writes, and whenever the process dies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.ids import DeviceId
from shared.domain.rollouts import Rollout, RolloutState
from shared.handlers.campaign_facts import CampaignFactsCache
from shared.handlers.fold_reports import fold_backlog, fold_reports
from shared.ports.bus import Queue
from shared.ports.errors import ConcurrentChange
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.messages import read_batch_visit
from shared.wire.reports import read_report_batch
from shared.wire.twin_events import RawTwinEvent
from tests.support.campaign_world import Died
from tests.support.data_plane import DataPlane
from tests.support.made_campaigns import DEADLINES
from tests.support.memory_rollouts import MemoryRollouts
from tests.support.rollouts import CAMPAIGN, NOON, OLD_VERSION, TARGET

S = RolloutState
NAMES = [f"gw-{number}" for number in range(6)]
OLD = {"gateway%2Efirmware": OLD_VERSION}
STORIES = {
    "gw-0": ["downloading", "installing", "restarting", "succeeded"],
    "gw-1": ["downloading", "failed"],
    "gw-2": ["downloading", "installing", "downloading", "installing", "succeeded"],
    "gw-3": ["downloading", "succeeded", "old version"],
    "gw-4": ["rejected"],
    "gw-5": ["downloading"],
}
ENDS = {
    "gw-0": S.SUCCEEDED,
    "gw-1": S.FAILED,
    "gw-2": S.SUCCEEDED,
    "gw-3": S.REGRESSED,
    "gw-4": S.REJECTED,
    "gw-5": S.DOWNLOADING,
}


def offered(**fields: Any) -> DataPlane:
    plane = DataPlane(NAMES, waves=[2], **fields)
    for batch in plane.batches:
        plane.dispatch(batch)
    return plane


def tell(plane: DataPlane) -> list[RawTwinEvent]:
    """Everything the devices of the stories report, in the order it happens."""
    events = []
    for device, states in STORIES.items():
        for at, state in enumerate(states, start=1):
            fields: dict[str, Any] = {"installed": OLD} if state == "old version" else {}
            events.append(plane.says(device, "succeeded" if state == "old version" else state, at, **fields))
    return events


def truth(plane: DataPlane) -> dict[DeviceId, tuple[Any, ...]]:
    return {
        device: (row.state, row.code, row.detail, row.installed_version, row.mark, row.due_at, row.sent_at)
        for device, row in plane.rows().items()
    }


def test_each_device_ends_where_its_story_ends_and_the_counters_say_so() -> None:
    plane = offered()
    plane.relay(tell(plane))
    plane.fold()
    assert {device: row.state for device, row in plane.rows().items()} == ENDS
    assert plane.row("gw-0").installed_version == TARGET.version
    plane.check_counters()


@settings(max_examples=60)
@given(how=st.data())
def test_duplicated_reordered_and_split_events_end_in_the_same_tables(how: st.DataObject) -> None:
    in_order = offered()
    in_order.relay(tell(in_order))
    in_order.fold()

    plane = offered()
    events = tell(plane)
    events = how.draw(st.permutations(events + how.draw(st.lists(st.sampled_from(events), max_size=6))))
    while events:
        size = how.draw(st.integers(min_value=1, max_value=len(events)))
        plane.relay(events[:size])
        events = events[size:]
    plane.events.events = how.draw(st.permutations(plane.events.events))
    plane.fold()
    assert truth(plane) == truth(in_order)
    plane.check_counters()


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_dying_at_any_write_and_being_redelivered_ends_in_the_same_tables(after: bool) -> None:
    expected = offered()
    expected.relay(tell(expected))
    expected.fold()
    for writes in range(8):
        plane = offered()
        plane.relay(tell(plane))
        plane.life.left, plane.life.dies_after_the_write = writes, after
        try:
            plane.fold()
        except Died:
            plane.fold()
        plane.life.left = None
        assert truth(plane) == truth(expected)
        plane.check_counters()


def test_a_new_state_brings_its_deadline_and_an_end_has_none() -> None:
    plane = offered()
    plane.pass_time(30)
    plane.relay([plane.says("gw-0", "installing", 1), plane.says("gw-1", "failed", 1)])
    plane.fold()
    assert plane.row("gw-0").due_at == NOON + timedelta(seconds=30 + DEADLINES.installing_s)
    assert plane.row("gw-1").due_at is None


def test_a_report_that_may_move_a_gate_asks_for_an_evaluation_and_others_do_not() -> None:
    plane = offered()
    plane.relay([plane.says("gw-0", "downloading", 1)])
    plane.fold()
    assert not plane.bus.sent_to(Queue.CAMPAIGN_STEPS)
    plane.relay([plane.says("gw-0", "failed", 2)])
    plane.fold()
    assert len(plane.bus.sent_to(Queue.CAMPAIGN_STEPS)) == 1


def test_a_late_report_corrects_a_time_out_and_has_the_device_settled_again() -> None:
    plane = offered()
    plane.pass_time(DEADLINES.offered_s + 1)
    plane.visit()
    assert plane.row(plane.names[0]).state is S.TIMED_OUT
    assert plane.record(plane.names[0]).held_by is None
    before = len(plane.bus.sent_to(Queue.BATCH_DEADLINES))

    plane.relay([plane.says(plane.names[0], "succeeded", 9)])
    plane.fold()
    assert plane.row(plane.names[0]).state is S.SUCCEEDED
    [settlement] = plane.bus.sent_to(Queue.BATCH_DEADLINES)[before:]
    plane.visit(read_batch_visit(settlement.body).batch)
    assert plane.record(plane.names[0]).installed == {TARGET.name: TARGET.version}
    plane.check_counters()


def test_a_regression_withdraws_success_and_what_the_device_runs_is_put_right() -> None:
    plane = offered()
    device = plane.names[0]
    plane.relay([plane.says(device, "succeeded", 1)])
    plane.fold()
    plane.visit()
    assert plane.record(device).installed == {TARGET.name: TARGET.version}
    plane.relay([plane.says(device, "succeeded", 2, installed=OLD)])
    plane.fold()
    assert plane.row(device).state is S.REGRESSED
    settlement = plane.bus.sent_to(Queue.BATCH_DEADLINES)[-1]
    plane.visit(read_batch_visit(settlement.body).batch)
    assert plane.record(device).installed == {TARGET.name: OLD_VERSION}


def test_strangers_are_ignored_and_the_others_fold() -> None:
    plane = offered()
    stranger = plane.says("gw-0", "downloading", 1)
    stranger = RawTwinEvent(body=stranger.body, properties={"deviceId": "stranger"}, system_properties={})
    plane.relay([stranger, plane.says("gw-1", "downloading", 1)])
    plane.fold()
    assert plane.row("gw-1").state is S.DOWNLOADING


class ContendedRollouts(MemoryRollouts):
    """Somebody else changes a row just before each of the next writes."""

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = 0

    def write(self, campaign: Any, shard: int, changes: Sequence[RolloutChange]) -> list[Stored[Rollout]]:
        if self.conflicts and changes:
            self.conflicts -= 1
            raise ConcurrentChange("somebody was faster")
        return super().write(campaign, shard, changes)


def test_contention_is_tried_again_in_place() -> None:
    rollouts = ContendedRollouts()
    plane = offered(rollouts=rollouts)
    plane.relay(tell(plane))
    rollouts.conflicts = 3
    plane.fold()
    assert {device: row.state for device, row in plane.rows().items()} == ENDS
    plane.check_counters()


def test_lasting_contention_goes_to_the_backlog_and_never_fails_the_delivery() -> None:
    rollouts = ContendedRollouts()
    plane = offered(rollouts=rollouts)
    plane.relay(tell(plane))
    rollouts.conflicts = 10**6
    [event] = plane.events.events
    fold_reports(read_report_batch(event.data), plane.fold_ports(patience_s=0))
    [message] = plane.bus.sent_to(Queue.REPORT_BACKLOG)
    assert message.session_id == f"{CAMPAIGN}~00"

    backlog = read_report_batch(message.body)
    with pytest.raises(ConcurrentChange):
        fold_backlog(backlog, plane.fold_ports(patience_s=0))
    rollouts.conflicts = 0
    fold_backlog(backlog, plane.fold_ports(patience_s=0))
    assert {device: row.state for device, row in plane.rows().items()} == ENDS
    plane.check_counters()


def test_facts_are_read_once_and_an_unknown_campaign_is_asked_for_once_a_minute() -> None:
    plane = DataPlane(NAMES)
    reads: list[str] = []
    get = plane.campaigns.get
    plane.campaigns.get = lambda campaign: (reads.append(campaign), get(campaign))[1]  # type: ignore[method-assign,func-returns-value]
    now_s = 0.0
    facts = CampaignFactsCache(plane.campaigns, clock=lambda: now_s)
    for campaign in (CAMPAIGN, CAMPAIGN, "unknown", "unknown"):
        facts.find(campaign)  # type: ignore[arg-type]
    assert reads == [CAMPAIGN, "unknown"]
    now_s = 61.0
    assert facts.find(CAMPAIGN) is not None
    assert facts.find("unknown") is None  # type: ignore[arg-type]
    assert reads == [CAMPAIGN, "unknown", "unknown"]
