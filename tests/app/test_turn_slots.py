"""Whatever offers a device its package outside its batch's slot takes a slot of its own (invariant I6).

Measured at the hub: what it was asked for, and when, taken or refused.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.conflicts import MAX_PRIORITY, OnConflict, Precedence, waits_for
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.pacing import CHARGE_PER_DEVICE, NO_LOAD, SLOT_HOLDS_S, Load
from shared.domain.rates import ConstantRate, Pace
from shared.domain.retries import Retries
from shared.domain.rollouts import RolloutState, move
from shared.domain.walks import BatchPurpose
from shared.handlers.dispatch_batch import dispatch_batch
from shared.handlers.reserve_slots import reserve_slots
from shared.ports.bus import Queue
from shared.ports.errors import Unavailable
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.messages import BatchWork, read_batch_work
from tests.support.clocked_plane import BATCH, DEVICES_PER_S, ClockedPlane, check_within_budget, most_in
from tests.support.mortal import Died
from tests.support.rollouts import CAMPAIGN, NOON, make_rollout

C, S = CampaignState, RolloutState
OTHER = CampaignId("autumn-fix")
WAIT = Precedence(on_conflict=OnConflict.WAIT)


class Waiting(ClockedPlane):
    """A campaign all of whose devices an older one holds, and whose batches have found them held."""

    def __init__(self, devices: int, **spec: object) -> None:
        super().__init__(devices, precedence=WAIT, **spec)
        self.change(waves=tuple(replace(wave, started_at=NOON) for wave in self.campaign.waves))
        older = replace(self.campaign, id=OTHER, created_at=NOON - timedelta(hours=1))
        self.campaigns.create(replace(older, spec=replace(older.spec, precedence=Precedence())))
        for batch in self.batches:
            rows = self.rollouts.read_batch(CAMPAIGN, batch)
            held = [make_rollout(row.value.device, campaign=OTHER, batch=batch.number, sent_at=NOON) for row in rows]
            self.rollouts.create_batch(OTHER, batch.shard, held)
            records = self.devices.read_batch([row.value.device for row in rows])
            self.devices.write([replace(row, value=replace(row.value, held_by=OTHER)) for row in records.values()])
            changes = [
                RolloutChange(before=row, after=replace(row.value, sequence=0, code=waits_for(OTHER))) for row in rows
            ]
            self.rollouts.write(CAMPAIGN, batch.shard, changes)
        self.send_wave()
        self.run(until_at=self.now + timedelta(seconds=75))
        assert self.asks == []
        assert self.states() == {S.PLANNED}

    def let_go(self, names: list[DeviceId] | None = None) -> None:
        """The older campaign's part of these devices, or of all, ends at this moment."""
        for name in names or self.names:
            row = self.rollouts.read_devices(OTHER, 0, [name])[name]
            ended = move(row.value, S.SUCCEEDED, now=self.now)
            self.rollouts.write(OTHER, 0, [RolloutChange(before=row, after=ended)])

    def check_all_offered(self) -> None:
        """Each device has the offer of its own claim."""
        for name, row in self.rows().items():
            assert (row.state, row.attempt, row.code, row.retry_at) == (S.OFFERED, 1, "", None)
            assert row.sent_at is not None
            offer = self.hub.desired[name]["update"]
            assert (offer["campaign"], offer["sequence"]) == (CAMPAIGN, row.sequence)
            assert self.record(name).sequence == row.sequence == 2
            assert self.record(name).held_by == CAMPAIGN
        self.check_counters()

    def check_offered_once(self) -> None:
        self.check_all_offered()
        assert sorted(device for _, device in self.asks) == sorted(self.names)


class Rival:
    """Another campaign on the same hub, which takes slots for as many devices as it gets and uses them."""

    def __init__(self, plane: ClockedPlane, devices: int) -> None:
        self._plane, self._left = plane, devices
        self._look_at = plane.now
        self._slots: list[tuple[datetime, int]] = []

    def go_on(self) -> bool:
        """Do what is due by now; always False, so that a run goes on."""
        now = self._plane.now
        if self._left and now >= self._look_at:
            sizes = [min(BATCH, self._left - begin) for begin in range(0, self._left, BATCH)]
            batches = [replace(self._plane.batches[0], number=1000 + place) for place in range(len(sizes))]
            got = reserve_slots(self._plane.budget, batches, now=now, load=NO_LOAD, sizes=sizes)
            self._slots += [(at, size) for (_, at), size in zip(got.slots, sizes, strict=False)]
            self._left -= sum(sizes[: len(got.slots)])
            self._look_at = got.look_again_at
        for at, size in [slot for slot in self._slots if slot[0] <= now]:
            self._plane.asks.extend((at, f"rival-{at}-{number}") for number in range(size))
            self._slots.remove((at, size))
        return False


def test_devices_that_come_free_all_at_once_are_offered_within_the_hubs_budget() -> None:
    """The hub is never asked for more, in any window, and does not idle either."""
    plane = Waiting(1500)
    plane.let_go()
    freed, written = plane.now, plane.budget.writes
    plane.run()
    plane.check_offered_once()
    check_within_budget(plane.asks)
    took_s = (plane.asks[-1][0] - freed).total_seconds()
    assert 1400 / DEVICES_PER_S <= took_s <= 60 + 1500 / DEVICES_PER_S * 1.25
    assert plane.budget.writes - written <= 8 * len(plane.batches)


def test_devices_that_come_free_share_the_hub_with_another_campaign() -> None:
    plane = Waiting(800)
    plane.let_go()
    plane.run(Rival(plane, 800).go_on)
    plane.check_all_offered()
    assert len(plane.asks) == 1600
    check_within_budget(plane.asks)


def test_a_few_that_come_free_are_charged_alone_and_the_others_wait_on() -> None:
    plane = Waiting(99)
    plane.let_go(plane.names[:7])
    plane.run(lambda: bool(plane.asks))
    assert plane.charged_s() == pytest.approx(7 / DEVICES_PER_S)
    assert sorted(device for _, device in plane.asks) == sorted(plane.names[:7])
    assert [row.code for row in plane.rows().values()].count(waits_for(OTHER)) == 92
    plane.let_go(plane.names[7:])
    plane.run()
    plane.check_offered_once()


def test_late_turns_keep_to_the_campaigns_own_rate() -> None:
    plane = Waiting(300, pace=Pace(rate=ConstantRate(devices_per_minute=60)))
    plane.let_go()
    plane.run()
    plane.check_offered_once()
    assert most_in(plane.asks, 120) <= 121 + BATCH
    assert (plane.asks[-1][0] - plane.asks[0][0]) >= timedelta(seconds=300 - BATCH)


def test_looking_at_devices_that_are_still_held_takes_no_slot() -> None:
    plane = Waiting(300)
    written = plane.budget.writes
    plane.run(until_at=plane.now + timedelta(minutes=5))
    assert plane.budget.writes == written
    assert plane.states() == {S.PLANNED}


def test_whoever_waits_in_vain_takes_no_slot() -> None:
    plane = Waiting(300)
    written = plane.budget.writes
    plane.run()
    assert {(row.state, row.code) for row in plane.rows().values()} == {(S.SKIPPED, f"held_by:{OTHER}")}
    assert plane.budget.writes == written
    assert plane.bus.sent_to(Queue.CAMPAIGN_STEPS)


def test_a_device_that_is_held_again_when_its_slot_comes_waits_on() -> None:
    plane = Waiting(300)
    plane.let_go()
    plane.run(lambda: any(row.retry_at for row in plane.rows().values()))
    [again, *_] = [row.device for row in plane.rows().values() if row.retry_at]
    third = replace(plane.campaign, id=CampaignId("third"), created_at=NOON - timedelta(hours=2))
    plane.campaigns.create(third)
    plane.rollouts.create_batch(third.id, 0, [make_rollout(again, campaign=third.id, sent_at=NOON)])
    record = plane.devices.read_batch([again])[again]
    plane.devices.write([replace(record, value=replace(record.value, held_by=third.id))])
    plane.run(lambda: len(plane.asks) == 299)
    assert (plane.row(again).state, plane.row(again).retry_at) == (S.PLANNED, None)
    row = plane.rollouts.read_devices(third.id, 0, [again])[again]
    ended = RolloutChange(before=row, after=move(row.value, S.FAILED, now=plane.now))
    plane.rollouts.write(third.id, 0, [ended])
    plane.run()
    plane.check_offered_once()


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_a_death_between_slot_and_offer_loses_no_device_and_asks_for_no_more_than_was_charged(after: bool) -> None:
    deaths = 0
    for writes in count():
        plane = Waiting(110)
        plane.let_go()
        plane.life.left, plane.life.dies_after_the_write = writes, after
        died = 0
        while work := plane.due_work():
            plane.now = plane.bus.now = max(plane.now, work[0].visible_at)
            try:
                dispatch_batch(read_batch_work(work[0].message.body), plane.dispatch_ports(), now=plane.now)
            except Died:
                died += 1
            else:
                plane.bus.waiting.remove(work[0])
        if not died:
            break
        deaths += 1
        plane.check_all_offered()
        again = len(plane.asks) - len(plane.names)
        assert 0 <= again <= BATCH, f"died at write {writes}"
    assert deaths >= 8


def twice(plane: ClockedPlane, first: BatchWork, second: BatchWork, port: str, method: str) -> None:
    """Two dispatchers at once: the second does all its work just before the first one's next call of a port."""
    target = getattr(plane, port)
    call = getattr(target, method)

    def meanwhile(*args: object) -> object:
        setattr(target, method, call)
        dispatch_batch(second, plane.dispatch_ports(), now=plane.now)
        return call(*args)

    setattr(target, method, meanwhile)
    dispatch_batch(first, plane.dispatch_ports(), now=plane.now)


@pytest.mark.parametrize(("port", "method"), [("budget", "save"), ("rollouts", "write"), ("hub", "write")])
@pytest.mark.parametrize("is_busy", [False, True], ids=["slot now", "slot later"])
def test_two_dispatchers_at_once_offer_one_claim_and_ask_for_no_more_than_they_were_charged(
    port: str, method: str, is_busy: bool
) -> None:
    plane = Waiting(50)
    plane.let_go()
    [entry] = plane.due_work()
    plane.bus.waiting.remove(entry)
    plane.now = plane.bus.now = entry.visible_at
    if is_busy:
        stored = plane.budget.get()
        busy_until = plane.now + timedelta(seconds=20)
        plane.budget.save(replace(stored, value=replace(stored.value, next_free_at=busy_until)))
    begun, work = max(plane.budget.get().value.next_free_at, plane.now), read_batch_work(entry.message.body)
    twice(plane, work, work, port, method)
    plane.run()
    plane.check_all_offered()
    charged = (plane.budget.get().value.next_free_at - begun).total_seconds() * DEVICES_PER_S
    assert len(plane.asks) <= round(charged) <= 2 * len(plane.names)


def test_a_message_that_comes_twice_takes_a_second_slot_at_worst_and_makes_no_second_offer() -> None:
    plane = Waiting(150)
    plane.let_go()
    for _ in range(2):
        for entry in plane.due_work():
            plane.now = plane.bus.now = max(plane.now, entry.visible_at)
            dispatch_batch(read_batch_work(entry.message.body), plane.dispatch_ports(), now=plane.now)
    plane.run()
    plane.check_offered_once()
    check_within_budget(plane.asks)


def sent(devices: int, **spec: object) -> ClockedPlane:
    """A campaign whose whole wave has its slots on the queue, a minute's worth."""
    plane = ClockedPlane(devices, **spec)
    assert devices / DEVICES_PER_S <= 60
    plane.send_wave()
    return plane


def check_all_offered(plane: ClockedPlane, *, most_asks: int = 1) -> None:
    rows = plane.rows().values()
    assert {(row.state, row.attempt, row.sequence) for row in rows} == {(S.OFFERED, 1, 1)}
    assert all(row.sent_at is not None for row in rows)
    assert max(Counter(device for _, device in plane.asks).values()) <= most_asks
    plane.check_counters()


def test_offers_whose_messages_were_all_lost_take_slots_anew() -> None:
    """Their batches are visited at about the same time."""
    plane = sent(590)
    plane.bus.waiting.clear()
    plane.pass_time(400)
    for batch in plane.batches:
        plane.visit(batch)
    plane.run()
    check_all_offered(plane)
    check_within_budget(plane.asks)


def test_offers_that_were_marked_and_never_written_take_slots_anew() -> None:
    """The processes died with the twins before them."""
    plane = sent(590)
    while work := plane.due_work():
        plane.bus.waiting.remove(work[0])
        plane.now = plane.bus.now = max(plane.now, work[0].visible_at)
        plane.life.left, plane.life.dies_after_the_write = 1, False
        with pytest.raises(Died):
            dispatch_batch(read_batch_work(work[0].message.body), plane.dispatch_ports(), now=plane.now)
    assert plane.states() == {S.OFFERED}
    assert plane.asks == []
    plane.pass_time(400)
    for batch in plane.batches:
        plane.visit(batch)
    plane.run()
    check_all_offered(plane)
    check_within_budget(plane.asks)


def test_what_the_hub_refused_takes_slots_anew() -> None:
    """A refused write was asked for, too: trying it again must not add to what others were promised."""
    plane = sent(590)
    plane.hub.room = 0
    plane.run(until_at=plane.now + timedelta(minutes=3))
    assert plane.states() == {S.OFFERED}
    refused = len(plane.asks)
    plane.hub.room = None
    plane.run()
    check_all_offered(plane, most_asks=1000)
    check_within_budget(plane.asks)
    assert refused > 590
    assert len(plane.asks) == refused + 590


def test_a_batch_that_is_refused_again_and_again_comes_ever_later() -> None:
    plane = sent(50)
    plane.hub.room = 0
    plane.run(hours=1)
    asked = sorted({at for at, _ in plane.asks})
    assert len(asked) <= 30
    assert asked[-1] - asked[-2] > asked[1] - asked[0]


def test_what_an_outage_held_up_does_not_go_out_all_at_once() -> None:
    plane = sent(590)
    plane.pass_time(600)
    plane.run()
    check_all_offered(plane)
    check_within_budget(plane.asks)


def test_messages_that_are_always_late_still_get_through() -> None:
    """As long as they are late by less than a slot holds."""
    plane = sent(590)
    plane.run(late_s=SLOT_HOLDS_S - 1)
    check_all_offered(plane)
    check_within_budget(plane.asks)
    assert (plane.now - NOON).total_seconds() < 59 + SLOT_HOLDS_S


def test_batches_that_a_fleet_stop_held_up_do_not_go_out_all_at_once() -> None:
    plane = sent(590)
    plane.stop_fleet()
    written = plane.budget.writes
    plane.run(hours=0.5)
    assert plane.asks == []
    assert plane.budget.writes == written, "no slots while the fleet is stopped"
    plane.release_fleet()
    plane.run()
    check_all_offered(plane)
    check_within_budget(plane.asks)


def test_an_operators_retry_that_a_pause_held_up_takes_slots_anew_and_retries_once() -> None:
    plane = sent(590, retries=Retries())
    plane.run()
    plane.relay([plane.says(name, "failed", 1) for name in plane.names])
    plane.fold()
    plane.pass_time(60)
    plane.recorder.asks.clear()
    plane.send_wave(BatchPurpose.RETRY)
    plane.change(state=C.PAUSED, state_since=plane.now)
    plane.run(hours=0.5)
    assert plane.asks == []
    plane.change(state=C.RUNNING)
    plane.run()
    assert {(row.state, row.attempt) for row in plane.rows().values()} == {(S.OFFERED, 2)}
    assert sorted(device for _, device in plane.asks) == sorted(plane.names)
    check_within_budget(plane.asks)


def offered(devices: int) -> ClockedPlane:
    """A campaign whose devices have their offers, and that was given up just now."""
    plane = ClockedPlane(devices)
    plane.send_wave()
    plane.run()
    plane.recorder.asks.clear()
    plane.pass_time(60)
    plane.change(state=C.ABORTED, is_forced=True, state_since=plane.now)
    return plane


def test_taking_back_costs_the_hub_one_update_a_device() -> None:
    plane = offered(1500)
    begun = plane.now
    plane.send_wave(BatchPurpose.WITHDRAW)
    plane.run()
    assert plane.states() == {S.CANCELLED}
    check_within_budget(plane.asks, updates=1)
    assert plane.now - begun <= timedelta(seconds=1500 / DEVICES_PER_S / CHARGE_PER_DEVICE + 1)


def test_taking_back_is_within_the_budget_also_where_the_hub_refused_it() -> None:
    plane = offered(1500)
    plane.hub.room = 300
    plane.send_wave(BatchPurpose.WITHDRAW)
    plane.run(until_at=plane.now + timedelta(seconds=60))
    plane.hub.room = None
    plane.run()
    assert plane.states() == {S.CANCELLED}
    assert not any("update" in twin for twin in plane.hub.desired.values())
    check_within_budget(plane.asks, updates=1)


class Hog:
    """Campaigns of the highest priority that take every slot there is, whenever anything happens."""

    def __init__(self, plane: ClockedPlane) -> None:
        self._plane = plane
        self.devices = 0

    def go_on(self) -> bool:
        batches = [replace(self._plane.batches[0], number=1000 + number) for number in range(20)]
        got = reserve_slots(
            self._plane.budget,
            batches,
            now=self._plane.now,
            load=Load(priority=MAX_PRIORITY),
            sizes=[BATCH] * len(batches),
        )
        self.devices += BATCH * len(got.slots)
        return False


@pytest.mark.parametrize("refused", [False, True], ids=["at first", "where the hub refused it"])
def test_no_campaign_keeps_offers_from_being_taken_back(refused: bool) -> None:
    """The hub is full for a minute ahead, and whoever made it so asks for more without end."""
    plane = offered(590)
    hog = Hog(plane)
    hog.go_on()
    begun = plane.now
    if refused:
        plane.hub.room = 0
        plane.send_wave(BatchPurpose.WITHDRAW, before=hog.go_on)
        plane.run(hog.go_on, until_at=plane.now + timedelta(seconds=90))
        plane.hub.room = None
        begun = plane.now
    else:
        plane.send_wave(BatchPurpose.WITHDRAW, before=hog.go_on)
    plane.run(hog.go_on)
    assert plane.states() == {S.CANCELLED}
    assert hog.devices > 590
    assert plane.now - begun <= timedelta(minutes=12 if refused else 3)


def test_a_withdrawal_that_dies_between_its_turn_and_its_write_is_done_once_more() -> None:
    for writes in count():
        plane = offered(50)
        work = BatchWork(campaign=CAMPAIGN, batch=plane.batches[0], purpose=BatchPurpose.WITHDRAW, step=7, retry=1)
        stored = plane.budget.get()
        busy = replace(stored.value, next_free_at=plane.now + timedelta(seconds=30))
        plane.budget.save(Stored(value=busy, etag=stored.etag))
        plane.life.left = writes
        try:
            dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
            plane.run()
        except Died:
            dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
            plane.run()
        else:
            break
        assert plane.states() == {S.CANCELLED}
        assert not any("update" in twin for twin in plane.hub.desired.values())
        assert min(at for at, _ in plane.asks) >= busy.next_free_at
    assert writes >= 3


def test_an_outage_between_slot_and_offer_loses_no_device_though_its_message_comes_back_at_once() -> None:
    plane = Waiting(50)
    plane.let_go()
    [entry] = plane.due_work()
    plane.bus.waiting.remove(entry)
    plane.now = plane.bus.now = entry.visible_at + timedelta(milliseconds=300)
    work, write, calls = read_batch_work(entry.message.body), plane.devices.write, count()

    def unavailable(*args: object) -> None:
        if not next(calls):
            raise Unavailable("the table devices")
        write(*args)  # type: ignore[arg-type]

    plane.devices.write = unavailable  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
    plane.now = plane.bus.now = plane.now + timedelta(milliseconds=100)
    dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
    plane.run()
    plane.check_offered_once()
