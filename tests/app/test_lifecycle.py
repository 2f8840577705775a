"""Devices that are deleted and made anew, and rows that events forgot."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.retention import Archive
from shared.domain.rollouts import RolloutState
from shared.handlers.note_lifecycle import LifecyclePorts, note_lifecycle
from shared.handlers.reconcile import ReconcilePorts, reconcile
from shared.ports.bus import Queue
from shared.ports.stored import Stored
from shared.wire.twin_events import LifecycleEvent, LifecycleKind
from tests.app.test_retries import TWICE, deliver_work, fail, plane_with
from tests.support.campaign_world import Died
from tests.support.data_plane import DataPlane
from tests.support.rollouts import CAMPAIGN, NOON, make_rollout

S = RolloutState
NAMES = ["gw-0", "gw-1", "gw-2"]


def offered() -> DataPlane:
    plane = DataPlane(NAMES)
    plane.dispatch()
    return plane


def note(plane: DataPlane, kind: LifecycleKind, device: str) -> None:
    ports = LifecyclePorts(
        facts=plane.facts(),
        rollouts=plane.fold_ports().rollouts,
        devices=plane.mortal(plane.devices),
        twins=plane.hub,
        sender=plane.bus,
    )
    note_lifecycle(LifecycleEvent(kind=kind, device=DeviceId(device)), ports, now=plane.now)


def test_a_deleted_device_is_skipped_and_freed_and_keeps_its_sequence() -> None:
    plane = offered()
    plane.hub.delete(DeviceId("gw-0"))
    note(plane, LifecycleKind.DELETED, "gw-0")
    assert (plane.row("gw-0").state, plane.row("gw-0").code) == (S.SKIPPED, "device_deleted")
    record = plane.record("gw-0")
    assert (record.held_by, record.sequence, record.deleted_at) == (None, 1, plane.now)
    plane.check_counters()


def between_attempts() -> DataPlane:
    """One device has failed, and waits for its further attempt."""
    plane = plane_with(TWICE)
    fail(plane, 1)
    assert (plane.row("gw-1").state, plane.row("gw-1").attempt) == (S.PLANNED, 2)
    plane.bus.sent.clear()
    return plane


def test_a_device_deleted_between_two_attempts_leaves_the_gates_count() -> None:
    plane = between_attempts()
    plane.hub.delete(DeviceId("gw-1"))
    note(plane, LifecycleKind.DELETED, "gw-1")
    row = plane.row("gw-1")
    assert (row.state, row.code, row.retry_at) == (S.SKIPPED, "device_deleted", None)
    assert (plane.counters().counted, plane.counters().failures) == (len(NAMES) - 1, 0)
    assert plane.record("gw-1").held_by is None
    assert len(plane.bus.sent_to(Queue.CAMPAIGN_STEPS)) == 1, "the gate may have waited for it"
    plane.pass_time(600)
    deliver_work(plane)
    assert plane.row("gw-1") == row
    plane.check_counters()


def test_a_device_whose_deletion_nobody_told_of_leaves_the_count_when_it_is_tried_again() -> None:
    plane = between_attempts()
    plane.hub.delete(DeviceId("gw-1"))
    plane.pass_time(600)
    deliver_work(plane)
    assert (plane.row("gw-1").state, plane.row("gw-1").code) == (S.SKIPPED, "device_not_found")
    assert (plane.counters().counted, plane.counters().failures) == (len(NAMES) - 1, 0)
    assert len(plane.bus.sent_to(Queue.CAMPAIGN_STEPS)) == 1
    plane.check_counters()


def test_a_deletion_that_comes_late_does_not_touch_the_device_made_anew() -> None:
    plane = offered()
    note(plane, LifecycleKind.DELETED, "gw-0")
    assert plane.row("gw-0").state is S.OFFERED
    assert plane.record("gw-0").held_by == CAMPAIGN


def test_a_device_made_anew_is_no_longer_deleted_and_keeps_its_sequence() -> None:
    plane = offered()
    plane.hub.delete(DeviceId("gw-0"))
    note(plane, LifecycleKind.DELETED, "gw-0")
    plane.hub.reported[DeviceId("gw-0")] = {"$version": 1}
    note(plane, LifecycleKind.CREATED, "gw-0")
    assert (plane.record("gw-0").deleted_at, plane.record("gw-0").sequence) == (None, 1)


def test_an_end_stays_when_its_device_is_deleted() -> None:
    plane = offered()
    plane.relay([plane.says("gw-0", "succeeded", 1)])
    plane.fold()
    plane.hub.delete(DeviceId("gw-0"))
    note(plane, LifecycleKind.DELETED, "gw-0")
    assert plane.row("gw-0").state is S.SUCCEEDED


def test_devices_no_campaign_ever_met_are_nobodys_business() -> None:
    plane = offered()
    note(plane, LifecycleKind.DELETED, "stranger")
    note(plane, LifecycleKind.CREATED, "stranger")


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_dying_at_any_write_is_mended_by_the_redelivery(after: bool) -> None:
    for writes in range(3):
        plane = offered()
        plane.hub.delete(DeviceId("gw-0"))
        plane.life.left, plane.life.dies_after_the_write = writes, after
        try:
            note(plane, LifecycleKind.DELETED, "gw-0")
        except Died:
            note(plane, LifecycleKind.DELETED, "gw-0")
        plane.life.left = None
        assert plane.row("gw-0").state is S.SKIPPED
        assert plane.record("gw-0").held_by is None
        plane.check_counters()


def run_reconcile(plane: DataPlane, max_reads: int = 100) -> int:
    ports = ReconcilePorts(campaigns=plane.campaigns, twins=plane.hub, fold=plane.fold_ports())
    return reconcile(ports, now=plane.now, max_reads=max_reads)


def test_reports_that_events_lost_are_found_in_the_twins() -> None:
    plane = offered()
    plane.says("gw-0", "succeeded", 1)
    plane.says("gw-1", "installing", 1)
    plane.pass_time(3600)
    assert run_reconcile(plane) == 2
    assert [plane.row(name).state for name in NAMES] == [S.SUCCEEDED, S.INSTALLING, S.OFFERED]
    plane.check_counters()


def test_rows_that_moved_lately_cost_no_read() -> None:
    plane = offered()
    plane.says("gw-0", "succeeded", 1)
    plane.pass_time(60)
    assert run_reconcile(plane) == 0
    assert not plane.hub.reads


def test_the_read_budget_holds_and_runs_begin_at_different_devices() -> None:
    plane = offered()
    first: set[str] = set()
    for _ in range(12):
        plane.now += timedelta(hours=1)
        plane.hub.reads.clear()
        run_reconcile(plane, max_reads=1)
        assert plane.hub.reads.total() == 1
        first |= set(plane.hub.reads)
    assert len(first) > 1


def test_a_run_goes_on_behind_the_first_batch_and_reads_each_twin_once() -> None:
    names = [f"gw-{number}" for number in range(250)]
    plane = DataPlane(names)
    for batch in plane.batches:
        plane.dispatch(batch)
    for name in names[::2]:
        plane.says(name, "succeeded", 1)
    plane.pass_time(3600)
    assert run_reconcile(plane, max_reads=500) == 125
    assert set(plane.hub.reads.values()) == {1}
    assert len(plane.hub.reads) == 250
    plane.check_counters()


def test_the_report_of_another_campaign_in_the_twin_is_not_taken_for_this_one() -> None:
    plane = offered()
    plane.says("gw-0", "failed", 1, campaign="the-one-before")
    plane.pass_time(3600)
    assert run_reconcile(plane) == 0
    assert plane.row("gw-0").state is S.OFFERED


@pytest.mark.parametrize("state", CampaignState)
def test_rows_are_reconciled_whatever_the_campaign_waits_for(state: CampaignState) -> None:
    """I7: devices go on with what they have begun while it is paused or waits, and after it has ended."""
    plane = offered()
    plane.set_campaign(state)
    plane.says("gw-0", "succeeded", 1)
    plane.pass_time(3600)
    assert run_reconcile(plane) == 1
    assert plane.row("gw-0").state is S.SUCCEEDED


def test_a_campaign_whose_rows_have_ended_or_are_archived_costs_one_read_at_most() -> None:
    plane = offered()
    for number, name in enumerate(NAMES):
        plane.says(name, "succeeded", number + 1)
    plane.pass_time(3600)
    run_reconcile(plane)
    plane.set_campaign(CampaignState.COMPLETED)
    plane.pass_time(3600)
    plane.hub.reads.clear()
    rollouts = CountedReads(plane.rollouts)
    ports = ReconcilePorts(
        campaigns=plane.campaigns, twins=plane.hub, fold=replace(plane.fold_ports(), rollouts=rollouts)
    )
    reconcile(ports, now=plane.now)
    assert (rollouts.calls, plane.hub.reads.total()) == (["count_open"], 0)

    stored = plane.campaigns.get(CAMPAIGN)
    archived = replace(stored.value, archive=Archive(begun_at=plane.now))
    plane.campaigns.save(Stored(value=archived, etag=stored.etag))
    reconcile(ports, now=plane.now)
    assert rollouts.calls == ["count_open"]


def test_no_campaign_starves_behind_others_whose_devices_are_offline() -> None:
    """Equal shares, and where there are more campaigns than reads, turns from hour to hour."""
    campaigns = [CampaignId(f"c{number:04d}") for number in range(30)]
    plane = DataPlane(NAMES)
    for campaign in campaigns:
        plane.campaigns.create(replace(plane.campaign, id=campaign))
        devices = [DeviceId(f"{campaign}-{number}") for number in range(40)]
        rows = [make_rollout(device, S.OFFERED, campaign=campaign, changed_at=NOON) for device in devices]
        plane.rollouts.create_batch(campaign, 0, rows)
    plane.pass_time(3600)
    run_reconcile(plane, max_reads=90)
    assert {device[:5] for device in plane.hub.reads} == set(campaigns)
    assert set(Counter(device[:5] for device in plane.hub.reads).values()) == {3}

    plane.hub.reads.clear()
    for _ in range(3):
        plane.pass_time(3600)
        run_reconcile(plane, max_reads=10)
    assert {device[:5] for device in plane.hub.reads} == set(campaigns)


class CountedReads:
    """A ``RolloutStore`` that notes what it is asked."""

    def __init__(self, rollouts: Any) -> None:
        self.calls: list[str] = []
        self._rollouts = rollouts

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._rollouts, name)


def test_a_device_made_anew_after_the_hub_did_not_know_it_is_not_gone_once_its_batch_is_visited() -> None:
    plane = DataPlane(NAMES)
    note(plane, LifecycleKind.CREATED, "gw-0")
    reported = plane.hub.reported[DeviceId("gw-0")]
    plane.pass_time(60)
    plane.hub.delete(DeviceId("gw-0"))
    plane.dispatch()
    assert plane.row("gw-0").code == "device_not_found"
    plane.pass_time(60)
    plane.hub.reported[DeviceId("gw-0")] = reported
    note(plane, LifecycleKind.CREATED, "gw-0")
    plane.pass_time(600)
    plane.visit()
    record = plane.record("gw-0")
    assert (record.held_by, record.deleted_at) == (None, None)
