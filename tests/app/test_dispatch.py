"""Dispatching a device batch: offers go out once, in step with the rows, within what the hub takes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from securesystemslib.signer import Key

from shared.domain.approvals import Consents
from shared.domain.audit import SERVICE
from shared.domain.campaigns import CampaignState
from shared.domain.ids import DeviceId
from shared.domain.rollouts import RolloutState
from shared.domain.schedules import AtEnd, Schedule
from shared.domain.walks import BatchPurpose
from shared.domain.waves import WaveState
from shared.handlers.dispatch_batch import dispatch_batch
from shared.ports.bus import Queue
from shared.ports.hub import TwinOutcome
from shared.trust.intents import check_claim, check_time, verify_intent
from shared.trust.tickets import read_ticket
from shared.wire.campaign_events import CAMPAIGN_CHANGED
from shared.wire.messages import read_batch_work
from shared.wire.twins import read_offer
from tests.support.campaign_world import Died, Life
from tests.support.data_plane import DataPlane
from tests.support.memory_rollouts import MemoryRollouts
from tests.support.rollouts import CAMPAIGN, NOON, TARGET

S = RolloutState
NAMES = [f"gw-{number}" for number in range(5)]


def public_key(plane: DataPlane) -> Key:
    key: Key = plane.keys.intents().public_key
    return key


def test_every_device_gets_an_offer_that_its_agent_can_verify() -> None:
    plane = DataPlane(NAMES)
    plane.dispatch()
    for name in plane.names:
        offer = read_offer(name, plane.hub.desired[name])
        assert offer is not None
        intent = verify_intent(offer.envelope, [public_key(plane)])
        check_claim(intent, device=name, sequence=offer.sequence, proof=offer.proof)
        check_time(intent, now=NOON)
        assert (intent.name, intent.version) == (TARGET.name, TARGET.version)
        assert intent.windows == plane.campaign.spec.windows != ()
        ticket = read_ticket(offer.ticket, plane.keys.tickets, now=NOON)
        assert (ticket.device, ticket.campaign, ticket.path) == (name, CAMPAIGN, intent.path)
    assert {offer_row.sent_at for offer_row in plane.rows().values()} == {NOON}
    assert plane.counters().of(S.OFFERED) == 5


def test_a_full_batch_costs_one_read_two_transactions_and_one_signature() -> None:
    rollouts = CountingRollouts()
    plane = DataPlane([f"gw-{number}" for number in range(99)], rollouts=rollouts)
    rollouts.calls.clear()
    plane.dispatch()
    assert rollouts.calls == ["read_batch", "write", "write"]
    assert len({str(plane.hub.desired[name]["update"]["intent"]) for name in plane.names}) == 1


class CountingRollouts(MemoryRollouts):
    """Keeps the names of the calls made."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> object:
        if name in ("read_batch", "write", "read_devices"):
            self.calls.append(name)
        return super().__getattribute__(name)


def test_a_redelivered_message_writes_no_twin_again() -> None:
    plane = DataPlane(NAMES)
    plane.dispatch()
    plane.dispatch()
    assert set(plane.hub.writes.values()) == {1}


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_dying_at_any_write_and_being_redelivered_ends_in_the_same_tables(after: bool) -> None:
    for writes in range(6):
        plane = DataPlane(NAMES)
        plane.hub.verdicts[DeviceId("gw-3")] = TwinOutcome.REFUSED
        plane.hub.delete(DeviceId("gw-4"))
        plane.life.left, plane.life.dies_after_the_write = writes, after
        try:
            plane.dispatch()
        except Died:
            plane.dispatch()
        plane.life.left = None
        rows = plane.rows()
        assert {row.state for row in rows.values() if row.sent_at} == {S.OFFERED}
        assert {name: rows[DeviceId(name)].code for name in ("gw-3", "gw-4")} == {
            "gw-3": "twin_refused",
            "gw-4": "device_not_found",
        }
        assert plane.counters().of(S.OFFERED, S.FAILED, S.SKIPPED) == 5
        plane.check_counters()


def test_two_dispatchers_of_one_batch_end_in_one_claim_per_device() -> None:
    plane = DataPlane(NAMES)
    plane.hub.meanwhile = plane.dispatch
    plane.dispatch()
    assert plane.counters().of(S.OFFERED) == 5
    assert {row.sent_at for row in plane.rows().values()} == {NOON}
    assert all(plane.hub.desired[name]["update"]["sequence"] == plane.row(name).sequence for name in plane.names)
    plane.check_counters()


def test_a_report_between_twin_and_stamp_is_not_lowered() -> None:
    plane = DataPlane(["gw-0", "gw-1"])

    def report() -> None:
        plane.relay([plane.says("gw-0", "installing", 1)])
        plane.fold()

    plane.hub.meanwhile = report
    plane.dispatch()
    assert (plane.row("gw-0").state, plane.row("gw-0").sent_at) == (S.INSTALLING, NOON)
    assert (plane.row("gw-1").state, plane.row("gw-1").sent_at) == (S.OFFERED, NOON)
    plane.check_counters()


def test_what_the_hub_has_no_room_for_goes_out_later_and_slows_everybody() -> None:
    plane = DataPlane(NAMES)
    plane.hub.room = 2
    plane.dispatch()
    [again] = plane.bus.sent_to(Queue.DEVICE_BATCHES)
    assert again.enqueue_at is not None
    assert again.enqueue_at > NOON
    assert plane.budget.get().value.rate_per_s == 25.0
    assert [row.sent_at for row in plane.rows().values()].count(None) == 3

    plane.hub.room = None
    plane.pass_time(20)
    work = read_batch_work(again.body)
    assert work.retry == 1
    plane.dispatch()
    assert set(plane.hub.writes.values()) == {1}
    assert [row.sent_at for row in plane.rows().values()].count(None) == 0
    assert plane.budget.get().value.rate_per_s == 30.0


def test_retries_of_one_batch_have_ids_of_their_own() -> None:
    plane = DataPlane(NAMES)
    plane.hub.verdicts = dict.fromkeys(plane.names, TwinOutcome.UNAVAILABLE)
    plane.dispatch()
    [first] = plane.bus.sent_to(Queue.DEVICE_BATCHES)
    dispatch_batch(read_batch_work(first.body), plane.dispatch_ports(), now=plane.now)
    ids = [message.message_id for message in plane.bus.sent_to(Queue.DEVICE_BATCHES)]
    assert len(set(ids)) == 2
    assert plane.budget.get().value.rate_per_s == 50.0


def test_a_used_up_quota_pauses_the_campaign_and_leaves_the_rows_unsent() -> None:
    plane = DataPlane(NAMES)
    plane.hub.quota = 2
    plane.dispatch()
    paused = plane.campaigns.get(CAMPAIGN).value
    midnight = "2026-03-02 00:00 UTC"
    assert paused.state is CampaignState.PAUSED
    assert paused.reason == (
        f"the IoT Hub's daily message quota is used up; resume after {midnight}, or add units to the hub before"
    )
    assert {row.sent_at for row in plane.rows().values()} == {None}

    plane.hub.quota = None
    plane.dispatch()
    assert {row.sent_at for row in plane.rows().values()} == {None}
    plane.set_campaign(CampaignState.RUNNING)
    plane.dispatch()
    assert {row.sent_at for row in plane.rows().values()} == {NOON}


def test_a_pause_for_the_quota_is_audited_and_announced_once() -> None:
    """I6, I9: every batch that meets the quota tells of it, and one pause comes of them."""
    plane = DataPlane(NAMES)
    plane.hub.quota = 2
    plane.dispatch()
    plane.dispatch()
    [entry] = plane.audit.read(CAMPAIGN)
    assert (entry.who, entry.what, entry.before, entry.after) == (SERVICE, "pause", "running", "paused")
    assert entry.detail == plane.campaigns.get(CAMPAIGN).value.reason
    [event] = [event for event in plane.events.events if event.type == CAMPAIGN_CHANGED]
    assert json.loads(event.data)["state"] == "paused"


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_a_pause_for_the_quota_that_dies_anywhere_comes_with_the_message_again(after: bool) -> None:
    for writes in range(12):
        plane = DataPlane(NAMES)
        plane.hub.quota = 2
        plane.life = Life(left=writes, dies_after_the_write=after)
        with contextlib.suppress(Died):
            plane.dispatch()
        plane.life = Life()
        plane.dispatch()
        assert plane.campaigns.get(CAMPAIGN).value.state is CampaignState.PAUSED, writes
        assert [entry.what for entry in plane.audit.read(CAMPAIGN)] == ["pause"], writes


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.ABORTED])
def test_offers_of_a_campaign_that_does_not_run_are_dropped(state: CampaignState) -> None:
    plane = DataPlane(NAMES)
    plane.set_campaign(state)
    plane.dispatch()
    assert plane.states() == {S.PLANNED}
    assert not plane.hub.writes


def test_offers_the_hub_had_no_room_for_still_go_out_when_the_last_wave_has_passed() -> None:
    plane = DataPlane(NAMES)
    plane.set_campaign(CampaignState.COMPLETED)
    plane.dispatch()
    assert plane.states() == {S.OFFERED}


def test_a_batch_of_a_wave_that_has_not_started_is_dropped() -> None:
    """While people are asked about the second wave, the first goes on."""
    plane = DataPlane(NAMES)
    plane.set_campaign(CampaignState.AWAITING_APPROVAL)
    change_campaign(plane, waves=tuple(replace(wave, state=WaveState.PENDING) for wave in plane.campaign.waves))
    plane.dispatch()
    assert plane.states() == {S.PLANNED}
    change_campaign(plane, waves=plane.campaign.waves)
    plane.dispatch()
    assert plane.states() == {S.OFFERED}


def test_nobody_is_offered_anything_once_the_schedule_has_ended() -> None:
    plane = DataPlane(NAMES)
    schedule(plane, Schedule(end_at=NOON))
    plane.dispatch()
    assert plane.states() == {S.PLANNED}
    change_campaign(plane, consents=Consents(is_end_waived=True))
    plane.dispatch()
    assert plane.states() == {S.OFFERED}


def test_offers_of_a_campaign_that_is_cancelled_at_its_end_expire_then() -> None:
    end = NOON + timedelta(seconds=90)
    plane = DataPlane(NAMES)
    schedule(plane, Schedule(end_at=end, at_end=AtEnd.CANCEL))
    plane.dispatch()
    assert expiry(plane) == end


def test_offers_of_a_campaign_that_pauses_at_its_end_can_be_used_when_it_goes_on() -> None:
    end = NOON + timedelta(seconds=90)
    plane = DataPlane(NAMES)
    schedule(plane, Schedule(end_at=end))
    plane.dispatch()
    assert expiry(plane) > end + timedelta(seconds=plane.campaign.spec.deadlines.downloading_s)


def change_campaign(plane: DataPlane, **changes: Any) -> None:
    stored = plane.campaigns.get(CAMPAIGN)
    plane.campaigns.save(replace(stored, value=replace(stored.value, **changes)))


def schedule(plane: DataPlane, asked: Schedule) -> None:
    stored = plane.campaigns.get(CAMPAIGN)
    spec = replace(stored.value.spec, schedule=asked)
    plane.campaigns.save(replace(stored, value=plane.specs.sign(replace(stored.value, spec=spec))))


def expiry(plane: DataPlane) -> datetime:
    [*_, name] = plane.names
    offer = read_offer(name, plane.hub.desired[name])
    assert offer is not None
    return verify_intent(offer.envelope, [public_key(plane)]).expires


def aborted(plane: DataPlane) -> DataPlane:
    plane.dispatch()
    plane.relay([plane.says("gw-0", "succeeded", 1), plane.says("gw-1", "installing", 1)])
    plane.fold()
    plane.set_campaign(CampaignState.ABORTED)
    return plane


def test_withdrawing_clears_twins_of_open_rows_and_leaves_ends_alone() -> None:
    plane = aborted(DataPlane(NAMES))
    plane.dispatch(purpose=BatchPurpose.WITHDRAW)
    assert plane.row("gw-0").state is S.SUCCEEDED
    assert (plane.row("gw-1").state, plane.row("gw-1").code) == (S.CANCELLED, "installing")
    assert [name for name in plane.names if "update" in plane.hub.desired[name]] == [DeviceId("gw-0")]
    plane.check_counters()


def test_withdrawing_cancels_rows_that_never_had_an_offer_without_touching_their_twins() -> None:
    plane = DataPlane(NAMES)
    plane.dispatch(purpose=BatchPurpose.WITHDRAW)
    assert plane.states() == {S.CANCELLED}
    assert not plane.hub.writes


def test_a_withdrawal_repeated_after_another_campaign_made_its_offer_leaves_that_offer_alone() -> None:
    plane = aborted(DataPlane(NAMES))
    plane.dispatch(purpose=BatchPurpose.WITHDRAW)
    for name in plane.names:
        plane.hub.desired[name]["update"] = {"campaign": "the-next-one"}
    plane.dispatch(purpose=BatchPurpose.WITHDRAW)
    assert all(plane.hub.desired[name]["update"] == {"campaign": "the-next-one"} for name in plane.names)


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_a_withdrawal_that_dies_anywhere_is_finished_by_its_repeat(after: bool) -> None:
    for writes in range(3):
        plane = aborted(DataPlane(NAMES))
        plane.life.left, plane.life.dies_after_the_write = writes, after
        run_again_after_death(lambda plane=plane: plane.dispatch(purpose=BatchPurpose.WITHDRAW))  # type: ignore[misc]
        plane.life.left = None
        assert plane.states() == {S.SUCCEEDED, S.CANCELLED}
        plane.check_counters()


def test_throttled_withdrawals_stay_open_and_come_again() -> None:
    plane = aborted(DataPlane(NAMES))
    plane.hub.room = 1
    plane.dispatch(purpose=BatchPurpose.WITHDRAW)
    assert [row.state for row in plane.rows().values()].count(S.CANCELLED) == 1
    plane.hub.room = None
    [again] = plane.bus.sent_to(Queue.DEVICE_BATCHES)
    assert read_batch_work(again.body).purpose is BatchPurpose.WITHDRAW
    plane.dispatch(purpose=BatchPurpose.WITHDRAW)
    assert plane.states() == {S.SUCCEEDED, S.CANCELLED}


def run_again_after_death(action: Callable[[], None]) -> None:
    try:
        action()
    except Died:
        action()


def test_a_recall_leaves_alone_the_devices_that_have_begun() -> None:
    plane = aborted(DataPlane(NAMES))
    plane.dispatch(purpose=BatchPurpose.RECALL)
    assert plane.row("gw-0").state is S.SUCCEEDED
    assert plane.row("gw-1").state is S.INSTALLING
    assert {plane.row(name).state for name in NAMES[2:]} == {S.CANCELLED}
    assert {name for name in plane.names if "update" in plane.hub.desired[name]} == {"gw-0", "gw-1"}
    plane.check_counters()


def test_offers_of_a_skipped_wave_are_dropped_and_its_planned_devices_are_left_out() -> None:
    plane = DataPlane(NAMES)
    plane.set_wave(WaveState.SKIPPED)
    plane.dispatch()
    assert not plane.hub.writes
    plane.dispatch(purpose=BatchPurpose.SKIP)
    assert plane.states() == {S.SKIPPED}
    assert plane.row("gw-0").code == "wave_skipped"
    plane.check_counters()


def test_a_skip_leaves_alone_the_devices_that_have_their_offer() -> None:
    plane = DataPlane(NAMES)
    plane.dispatch()
    plane.dispatch(purpose=BatchPurpose.SKIP)
    assert plane.states() == {S.OFFERED}
