"""Devices that failed are tried again: by the campaign's policy, or because an operator wants it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.devices import DeviceRecord
from shared.domain.ids import CampaignId
from shared.domain.retries import Retries
from shared.domain.rollouts import RolloutState
from shared.domain.schedules import Schedule
from shared.domain.walks import BatchPurpose
from shared.handlers.dispatch_batch import dispatch_batch
from shared.handlers.show_campaigns import show_campaign
from shared.ports.bus import Queue
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.messages import read_batch_work
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.data_plane import DataPlane
from tests.support.made_campaigns import DEADLINES
from tests.support.mortal import Died
from tests.support.rollouts import CAMPAIGN, NOON, make_rollout

S, C = RolloutState, CampaignState
OTHER = CampaignId("autumn-fix")
NAMES = ["gw-0", "gw-1", "gw-2"]
TWICE = Retries(maximum=2, backoff_s=60, jitter=0, codes=("health_*",), timed_out=True)


def plane_with(retries: Retries) -> DataPlane:
    plane = DataPlane(NAMES)
    stored = plane.campaigns.get(CAMPAIGN)
    spec = replace(stored.value.spec, retries=retries)
    plane.campaigns.save(Stored(value=plane.specs.sign(replace(stored.value, spec=spec)), etag=stored.etag))
    plane.dispatch()
    return plane


def deliver_work(plane: DataPlane) -> int:
    """Deliver the messages for device batches that are due; how many there were."""
    due = [
        entry for entry in plane.bus.waiting if entry.queue is Queue.DEVICE_BATCHES and entry.visible_at <= plane.now
    ]
    for entry in due:
        plane.bus.waiting.remove(entry)
        dispatch_batch(read_batch_work(entry.message.body), plane.dispatch_ports(), now=plane.now)
    return len(due)


def fail(plane: DataPlane, at: int, **said: int) -> None:
    plane.relay([plane.says("gw-1", "failed", at, **said)])
    plane.fold()


def test_a_failed_device_gets_a_new_offer_after_its_wait_and_counts_once() -> None:
    plane = plane_with(TWICE)
    first = plane.hub.desired[plane.row("gw-1").device]["update"]
    fail(plane, 1)
    assert plane.row("gw-1").state is S.PLANNED
    assert plane.counters().total == len(NAMES)
    assert deliver_work(plane) == 0
    plane.pass_time(60)
    assert deliver_work(plane) == 1
    row, again = plane.row("gw-1"), plane.hub.desired[plane.row("gw-1").device]["update"]
    assert (row.state, row.attempt, row.sequence) == (S.OFFERED, 2, 2)
    assert (again["attempt"], again["sequence"]) == (2, 2)
    assert again["ticket"] != first["ticket"]
    assert plane.record("gw-1").sequence == 2
    plane.relay([plane.says("gw-1", "succeeded", 9, attempt=2, sequence=2)])
    plane.fold()
    assert plane.row("gw-1").state is S.SUCCEEDED
    plane.check_counters()


def test_a_device_that_fails_when_the_schedule_is_all_but_over_stays_failed() -> None:
    """Its new attempt would get no offer any more, and hold the device for ever."""
    plane = DataPlane(NAMES)
    stored = plane.campaigns.get(CAMPAIGN)
    spec = replace(stored.value.spec, retries=TWICE, schedule=Schedule(end_at=NOON + timedelta(seconds=30)))
    plane.campaigns.save(Stored(value=plane.specs.sign(replace(stored.value, spec=spec)), etag=stored.etag))
    plane.dispatch()
    fail(plane, 1)
    assert plane.row("gw-1").state is S.FAILED
    plane.check_counters()


def test_the_last_attempt_decides() -> None:
    plane = plane_with(TWICE)
    for attempt in (1, 2, 3):
        fail(plane, attempt, attempt=attempt, sequence=attempt)
        plane.pass_time(300)
        deliver_work(plane)
    assert (plane.row("gw-1").state, plane.row("gw-1").attempt) == (S.FAILED, 3)
    plane.check_counters()


def test_silence_is_tried_again() -> None:
    plane = plane_with(TWICE)
    plane.pass_time(DEADLINES.offered_s)
    plane.visit()
    assert plane.states() == {S.PLANNED}
    plane.pass_time(61)
    assert deliver_work(plane) == 1, "devices of a batch ask together"
    assert plane.states() == {S.OFFERED}
    assert {row.attempt for row in plane.rows().values()} == {2}


def test_a_batch_that_is_dispatched_again_meanwhile_does_not_offer_too_early() -> None:
    plane = plane_with(TWICE)
    fail(plane, 1)
    plane.dispatch()
    assert plane.row("gw-1").state is S.PLANNED


def test_a_retry_whose_message_is_lost_is_found_by_a_visit() -> None:
    plane = plane_with(TWICE)
    fail(plane, 1)
    plane.bus.waiting.clear()
    plane.pass_time(700)
    plane.visit()
    assert deliver_work(plane) >= 1
    assert plane.row("gw-1").state is S.OFFERED


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_a_retry_that_dies_anywhere_is_finished_by_its_repeat(after: bool) -> None:
    for writes in range(6):
        plane = plane_with(TWICE)
        fail(plane, 1)
        plane.pass_time(60)
        [entry] = [entry for entry in plane.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]
        work = read_batch_work(entry.message.body)
        plane.life.left, plane.life.dies_after_the_write = writes, after
        try:
            dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
        except Died:
            plane.life.left = None
            dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
            plane.pass_time(2)
            deliver_work(plane)
        row = plane.row("gw-1")
        assert (row.state, row.attempt) == (S.OFFERED, 2)
        assert row.sent_at is not None
        assert row.sequence <= plane.record("gw-1").sequence
        assert plane.hub.desired[row.device]["update"]["sequence"] == row.sequence
        plane.check_counters()


def test_an_operators_retry_claims_ended_devices_anew() -> None:
    plane = plane_with(Retries())
    fail(plane, 1)
    plane.visit()
    assert plane.record("gw-1").held_by is None
    plane.dispatch(purpose=BatchPurpose.RETRY)
    row = plane.row("gw-1")
    assert (row.state, row.attempt, plane.record("gw-1").held_by) == (S.OFFERED, 2, CAMPAIGN)
    assert plane.hub.desired[row.device]["update"]["sequence"] == row.sequence > 1
    assert {plane.row(name).attempt for name in ("gw-0", "gw-2")} == {1}
    plane.check_counters()


def claimed_by_another(plane: DataPlane, state: RolloutState) -> None:
    """Another campaign has claimed the device since, and its own row there is in this state."""
    device = plane.row("gw-1").device
    plane.campaigns.create(replace(plane.campaign, id=OTHER, state=C.RUNNING))
    plane.rollouts.create_batch(OTHER, 0, [make_rollout(device, state, campaign=OTHER, sequence=2)])
    record = plane.devices.read_batch([device])[device]
    plane.devices.write([replace(record, value=replace(record.value, held_by=OTHER, sequence=2))])


def test_a_device_that_another_campaign_holds_by_now_is_not_tried_again() -> None:
    plane = plane_with(Retries())
    fail(plane, 1)
    claimed_by_another(plane, S.DOWNLOADING)
    plane.dispatch(purpose=BatchPurpose.RETRY)
    assert plane.row("gw-1").state is S.FAILED
    assert plane.record("gw-1").held_by == OTHER


@pytest.mark.parametrize("how", ["held elsewhere", "cancelled", "wave skipped", "campaign over"])
def test_whoever_gets_no_further_attempt_after_all_counts_by_the_last_one(how: str) -> None:
    plane = plane_with(TWICE)
    fail(plane, 1)
    match how:
        case "held elsewhere":
            claimed_by_another(plane, S.DOWNLOADING)
        case "cancelled":
            plane.dispatch(purpose=BatchPurpose.WITHDRAW)
        case "wave skipped":
            plane.dispatch(purpose=BatchPurpose.SKIP)
        case _:
            plane.set_campaign(C.ABORTED)
    plane.pass_time(61)
    deliver_work(plane)
    plane.pass_time(1)
    deliver_work(plane)  # what was left to take back has its turn in the hub's budget
    row = plane.row("gw-1")
    assert (row.state, row.code, row.retry_at) == (S.FAILED, "health_check", None)
    assert plane.counters().failures == 1
    plane.check_counters()


def test_a_hold_that_has_ended_keeps_no_device_from_its_retry() -> None:
    """A hold counts only while its row is open; the visit that frees the device may come an hour later."""
    plane = plane_with(Retries())
    fail(plane, 1)
    claimed_by_another(plane, S.SUCCEEDED)
    plane.dispatch(purpose=BatchPurpose.RETRY)
    row = plane.row("gw-1")
    assert (row.state, row.attempt, plane.record("gw-1").held_by) == (S.OFFERED, 2, CAMPAIGN)
    assert plane.hub.desired[row.device]["update"]["sequence"] == row.sequence > 2
    plane.check_counters()


def test_who_takes_over_a_hold_that_has_ended_looks_again_when_somebody_was_faster() -> None:
    plane = plane_with(Retries())
    fail(plane, 1)
    claimed_by_another(plane, S.SUCCEEDED)
    write = plane.devices.write

    def write_after_another(records: list[Stored[DeviceRecord]]) -> None:
        plane.devices.write = write
        [row] = plane.rollouts.read_devices(OTHER, 0, [plane.row("gw-1").device]).values()
        plane.rollouts.write(OTHER, 0, [RolloutChange(before=row, after=replace(row.value, state=S.PLANNED))])
        [record] = plane.devices.read_batch([row.value.device]).values()
        plane.devices.write([replace(record, value=replace(record.value, sequence=record.value.sequence + 1))])
        write(records)

    plane.devices.write = write_after_another
    plane.dispatch(purpose=BatchPurpose.RETRY)
    assert plane.row("gw-1").state is S.FAILED
    assert plane.record("gw-1").held_by == OTHER


def test_retries_of_a_paused_campaign_wait_until_it_is_resumed() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: S.FAILED)
    campaign = world.post(waves=[{"count": 5}, {"rest": True}])
    world.run_until(campaign.id, C.PAUSED)
    world.outcome = lambda _device: S.SUCCEEDED
    failed = [row.state for row in world.rollouts.rows(campaign.id).values()].count(S.FAILED)
    assert failed
    world.act(campaign.id, "retry-failed")
    once = world.act(campaign.id, "retry-failed")
    assert show_campaign(campaign.id, world.view_ports).retrying == failed
    assert once.walk_in_hand is None
    assert not once.awaits_step
    world.run()
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    assert {row.state for row in world.rollouts.rows(campaign.id).values()} == {S.SUCCEEDED}
    [asked] = [entry for entry in world.audit.read(campaign.id) if entry.what == "retry-failed"]
    assert asked.detail.endswith(f"; {failed} devices")
    assert show_campaign(campaign.id, world.view_ports).retrying == 0


def test_where_nothing_failed_nothing_is_tried_again() -> None:
    """I9: so that the request may come once more after all its devices have succeeded."""
    world = CampaignWorld(fleet(3))
    campaign = world.post()
    done = world.run_until(campaign.id, C.COMPLETED)
    assert world.act(campaign.id, "retry-failed") == done
    assert show_campaign(campaign.id, world.view_ports).retrying == 0
    assert "retry-failed" not in [entry.what for entry in world.audit.read(campaign.id)]


def test_where_nothing_was_offered_nothing_is_tried_again() -> None:
    world = CampaignWorld(fleet(3))
    campaign = world.post()
    world.act(campaign.id, "pause")
    assert world.act(campaign.id, "retry-failed") == world.campaign(campaign.id)
    assert world.campaign(campaign.id).walks == ()
