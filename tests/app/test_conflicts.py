"""Campaigns over the same devices: skipped, waited for, or taken over, wherever the process dies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.conflicts import OnConflict, Precedence, waits_for
from shared.domain.devices import DeviceRecord
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.in_hand import IN_HAND_FOR
from shared.domain.retries import open_attempt
from shared.domain.rollouts import FINAL, RolloutState, move
from shared.domain.walks import BatchPurpose
from shared.handlers.dispatch_batch import dispatch_batch
from shared.handlers.take_over import FIRST_LOOK_S, LAST_LOOK_S, look_again_s
from shared.handlers.visit_batch import visit_batch
from shared.ports.bus import Queue
from shared.ports.hub import TwinResult, TwinWrite
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.messages import BatchVisit, BatchWork
from shared.wire.twins import PROPERTY, read_offer
from tests.support.campaign_sources import NOON as WORLD_NOON
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.data_plane import DataPlane
from tests.support.mortal import Died, Faults, Life, check_every_death
from tests.support.rollouts import CAMPAIGN, NOON, make_rollout

C, S, W = CampaignState, RolloutState, OnConflict
OTHER = CampaignId("autumn-fix")
NAMES = ["gw-0", "gw-1", "gw-2"]


class Contested(DataPlane):
    """A campaign whose devices another one, posted an hour before, holds."""

    def __init__(self, states: dict[str, RolloutState], precedence: Precedence) -> None:
        super().__init__(NAMES)
        self._restart(precedence)
        other = replace(self.campaign, id=OTHER, created_at=NOON - timedelta(hours=1), state=C.RUNNING)
        other = replace(other, spec=replace(other.spec, precedence=Precedence()))
        self.campaigns.create(other)
        held = [
            make_rollout(name, states[name], campaign=OTHER, sent_at=NOON if states[name] is not S.PLANNED else None)
            for name in self.names
        ]
        self.rollouts.create_batch(OTHER, 0, held)
        records = self.devices.read_batch(self.names)
        self.devices.write([replace(row, value=replace(row.value, held_by=OTHER)) for row in records.values()])
        rows = self.rollouts.read_batch(CAMPAIGN, self.batches[0])
        changes = [
            RolloutChange(before=row, after=replace(row.value, sequence=0, code=waits_for(OTHER))) for row in rows
        ]
        self.rollouts.write(CAMPAIGN, 0, changes)
        self.hub.write([TwinWrite(device=name, desired={PROPERTY: {"campaign": OTHER}}) for name in self.names])

    def _restart(self, precedence: Precedence) -> None:
        stored = self.campaigns.get(CAMPAIGN)
        spec = replace(stored.value.spec, precedence=precedence)
        waves = tuple(replace(wave, started_at=NOON) for wave in stored.value.waves)
        self.campaign = self.specs.sign(replace(stored.value, spec=spec, waves=waves))
        self.campaigns.save(Stored(value=self.campaign, etag=stored.etag))

    def end(self, name: str, state: RolloutState) -> None:
        """The other campaign's part of a device ends."""
        device = DeviceId(name)
        row = self.rollouts.read_devices(OTHER, 0, [device])[device]
        self.rollouts.write(OTHER, 0, [RolloutChange(before=row, after=move(row.value, state, now=self.now))])

    def others(self) -> dict[str, tuple[RolloutState, str]]:
        rows = self.rollouts.read_devices(OTHER, 0, self.names)
        return {device: (row.value.state, row.value.code) for device, row in rows.items()}

    def ours(self) -> dict[str, tuple[RolloutState, int]]:
        return {device: (row.state, row.sequence) for device, row in self.rows().items()}

    def claims(self) -> list[DeviceRecord]:
        return [row.value for row in self.devices.read_batch(self.names).values()]

    def coming_back(self) -> list[datetime]:
        return [entry.visible_at for entry in self.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]


def all_in(state: RolloutState) -> dict[str, RolloutState]:
    return dict.fromkeys(NAMES, state)


def test_devices_are_waited_for_and_offered_as_they_become_free() -> None:
    plane = Contested(all_in(S.OFFERED), Precedence(on_conflict=W.WAIT))
    plane.dispatch()
    assert plane.ours() == dict.fromkeys(NAMES, (S.PLANNED, 0))
    assert plane.coming_back() == [NOON + timedelta(seconds=FIRST_LOOK_S)]

    plane.end("gw-1", S.FAILED)
    plane.now = plane.bus.now = NOON + timedelta(seconds=FIRST_LOOK_S)
    plane.dispatch()
    assert plane.ours() == {"gw-0": (S.PLANNED, 0), "gw-1": (S.OFFERED, 2), "gw-2": (S.PLANNED, 0)}
    offer = read_offer(plane.names[0], plane.hub.desired[plane.row("gw-1").device])
    assert offer is not None
    assert (offer.campaign, offer.sequence) == (CAMPAIGN, 2)
    assert len(plane.coming_back()) == 2
    assert {record.held_by for record in plane.claims() if record.device != "gw-1"} == {OTHER}
    plane.check_counters()


def test_a_wait_whose_message_is_lost_is_taken_up_by_the_next_visit() -> None:
    """I4: queues are wake-ups, tables are the truth."""
    plane = Contested(all_in(S.OFFERED), Precedence(on_conflict=W.WAIT))
    plane.now = plane.bus.now = NOON + timedelta(hours=1)
    plane.visit()
    assert plane.coming_back() == [plane.now]


def test_whoever_has_waited_long_looks_less_often() -> None:
    plane = Contested(all_in(S.OFFERED), Precedence(on_conflict=W.WAIT))
    waits = [
        look_again_s(plane.campaign, 1, now=NOON + timedelta(seconds=waited)) for waited in (0, 100, 300, 3600, 10**6)
    ]
    assert waits == [FIRST_LOOK_S, FIRST_LOOK_S, 30, 450, LAST_LOOK_S]


def test_what_is_waited_for_in_vain_is_skipped_in_the_end() -> None:
    """I8: the wait has a deadline, so that the wave can end."""
    plane = Contested(all_in(S.OFFERED), Precedence(on_conflict=W.WAIT))
    plane.now = NOON + timedelta(seconds=plane.campaign.spec.deadlines.offered_s)
    plane.dispatch()
    assert {(row.state, row.code) for row in plane.rows().values()} == {(S.SKIPPED, f"held_by:{OTHER}")}
    plane.check_counters()


def test_a_higher_campaign_takes_devices_until_they_install() -> None:
    states = {"gw-0": S.PLANNED, "gw-1": S.DOWNLOADING, "gw-2": S.INSTALLING}
    plane = Contested(states, Precedence(priority=900, on_conflict=W.SUPERSEDE))
    plane.dispatch()
    assert plane.ours() == {"gw-0": (S.OFFERED, 2), "gw-1": (S.OFFERED, 2), "gw-2": (S.PLANNED, 0)}
    taken = (S.CANCELLED, f"superseded_by:{CAMPAIGN}")
    assert plane.others() == {"gw-0": taken, "gw-1": taken, "gw-2": (S.INSTALLING, "")}
    assert [plane.hub.desired[DeviceId(name)]["update"]["campaign"] for name in NAMES] == [
        CAMPAIGN,
        CAMPAIGN,
        OTHER,
    ]
    assert plane.rollouts.read_counters(OTHER, 1, 1).of(S.CANCELLED) == 2
    assert any(message.session_id == OTHER for message in plane.bus.sent_to(Queue.CAMPAIGN_STEPS))
    plane.check_counters()


def test_an_equal_campaign_takes_nothing() -> None:
    plane = Contested(all_in(S.OFFERED), Precedence(on_conflict=W.SUPERSEDE))
    plane.dispatch()
    assert set(plane.others().values()) == {(S.OFFERED, "")}
    assert plane.ours() == dict.fromkeys(NAMES, (S.PLANNED, 0))


@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_dying_at_any_write_of_a_take_over_ends_in_the_same_tables(dies_after_the_write: bool) -> None:
    """I3, I4: one row for each device that is open, one claim, counters that equal the rows."""

    def taken(left: int | None) -> tuple[object, ...] | None:
        plane = Contested(all_in(S.DOWNLOADING), Precedence(priority=900, on_conflict=W.SUPERSEDE))
        plane.life.left, plane.life.dies_after_the_write = left, dies_after_the_write
        died = False
        try:
            plane.dispatch()
        except Died:
            died = True
            plane.dispatch()
        plane.check_counters()
        found = plane.ours(), plane.others(), [(each.device, each.held_by, each.sequence) for each in plane.claims()]
        return found if died or left is None else None

    expected = taken(None)
    assert expected is not None
    assert expected[0] == dict.fromkeys(NAMES, (S.OFFERED, 2))
    deaths = 0
    for left in count():
        if (found := taken(left)) is None:
            break
        assert found == expected, f"died at write {left}"
        deaths += 1
    assert deaths >= 5


def test_the_holder_that_comes_between_makes_us_look_again() -> None:
    """I4: it began to install after we had looked."""
    plane = Contested(all_in(S.DOWNLOADED), Precedence(priority=900, on_conflict=W.SUPERSEDE))
    write, raced = plane.rollouts.write, []

    def write_after_the_device(campaign: CampaignId, shard: int, changes: list[RolloutChange]) -> object:
        if campaign == OTHER and not raced:
            raced.append(True)
            plane.end("gw-0", S.INSTALLING)
        return write(campaign, shard, changes)

    plane.rollouts.write = write_after_the_device
    plane.dispatch()
    assert plane.ours()["gw-0"] == (S.PLANNED, 0)
    assert plane.others()["gw-0"][0] is S.INSTALLING
    assert plane.ours()["gw-1"] == (S.OFFERED, 2)


HIGHER = Precedence(priority=900, on_conflict=W.SUPERSEDE)


def change_holder(plane: Contested, **fields: object) -> None:
    """Another state of the campaign that holds the devices."""
    stored = plane.campaigns.get(OTHER)
    changed = plane.specs.sign(replace(stored.value, changed_at=plane.now, **fields))
    plane.campaigns.save(Stored(value=changed, etag=stored.etag))


def work_of_holder(plane: Contested, purpose: BatchPurpose) -> None:
    """A batch of the holder comes up."""
    work = BatchWork(campaign=OTHER, batch=plane.batches[0], purpose=purpose, step=3)
    dispatch_batch(work, plane.dispatch_ports(), now=plane.now)


def in_twins(plane: Contested) -> set[str]:
    """The campaigns whose offers stand in the devices' twins."""
    return {plane.hub.desired[name].get(PROPERTY, {}).get("campaign", "") for name in plane.names}


def while_it_writes(plane: Contested, meanwhile: Callable[[], None]) -> None:
    """Have something happen between the next dispatch's reading of the rows and its writing of the twins."""
    write = plane.hub.write

    def late(writes: list[TwinWrite]) -> list[TwinResult]:
        plane.hub.write = write
        meanwhile()
        return write(writes)

    plane.hub.write = late


@pytest.mark.parametrize(
    ("purpose", "state"),
    [
        (BatchPurpose.WITHDRAW, S.OFFERED),
        (BatchPurpose.WITHDRAW, S.DOWNLOADING),
        (BatchPurpose.RECALL, S.OFFERED),
    ],
)
def test_a_withdrawal_that_comes_late_clears_no_newer_offer(purpose: BatchPurpose, state: RolloutState) -> None:
    """Where it did, the device would hear nothing, and time out."""
    plane = Contested(all_in(state), HIGHER)
    change_holder(plane, state=C.ABORTED, is_forced=purpose is BatchPurpose.WITHDRAW)
    while_it_writes(plane, plane.dispatch)
    work_of_holder(plane, purpose)
    assert plane.ours() == dict.fromkeys(NAMES, (S.PLANNED, 0))
    assert {state for state, _ in plane.others().values()} == {S.CANCELLED}

    [due] = plane.coming_back()
    plane.now = plane.bus.now = due
    plane.dispatch()
    assert plane.ours() == dict.fromkeys(NAMES, (S.OFFERED, 2))
    assert in_twins(plane) == {CAMPAIGN}
    plane.check_counters()


def test_who_failed_and_was_to_try_again_counts_as_failed_once_the_device_is_taken() -> None:
    """Cancelled rows leave the gate's count: the failure would be lost to it."""
    plane = Contested(all_in(S.DOWNLOADING), HIGHER)
    [row] = plane.rollouts.read_devices(OTHER, 0, [DeviceId("gw-1")]).values()
    failed = replace(row.value, state=S.FAILED, code="disk_full")
    again = open_attempt(failed, retry_at=NOON + timedelta(hours=1), now=NOON)
    plane.rollouts.write(OTHER, 0, [RolloutChange(before=row, after=again)])
    plane.dispatch()
    assert plane.ours() == dict.fromkeys(NAMES, (S.OFFERED, 2))
    assert plane.others()["gw-1"] == (S.FAILED, "disk_full")
    counters = plane.rollouts.read_counters(OTHER, 1, 1)
    assert (counters.failures, counters.counted, counters.of(S.CANCELLED)) == (1, 1, 2)
    assert any(message.session_id == OTHER for message in plane.bus.sent_to(Queue.CAMPAIGN_STEPS))


def leave_unsent(plane: Contested, since: datetime) -> None:
    """The holder's rows were marked, and the hub had no room for their offers."""
    rows = plane.rollouts.read_batch(OTHER, plane.batches[0])
    unsent = [RolloutChange(before=row, after=replace(row.value, sent_at=None, changed_at=since)) for row in rows]
    plane.rollouts.write(OTHER, 0, unsent)


def test_an_offer_thrown_back_long_ago_and_written_now_comes_over_no_newer_one() -> None:
    plane = Contested(all_in(S.OFFERED), HIGHER)
    leave_unsent(plane, NOON - timedelta(hours=2))
    change_holder(plane)
    while_it_writes(plane, plane.dispatch)
    work_of_holder(plane, BatchPurpose.OFFER)
    assert plane.ours() == dict.fromkeys(NAMES, (S.PLANNED, 0))
    assert in_twins(plane) == {OTHER}

    plane.dispatch()  # what was in hand is stamped now
    assert plane.ours() == dict.fromkeys(NAMES, (S.OFFERED, 2))
    assert in_twins(plane) == {CAMPAIGN}
    plane.check_counters()


def test_offers_that_a_pause_left_unsent_are_taken_over_after_a_while() -> None:
    """Nobody dispatches them; were they waited for, a fix would not reach them before their deadline."""
    plane = Contested(all_in(S.OFFERED), HIGHER)
    paused_at = NOON - timedelta(minutes=10)
    leave_unsent(plane, paused_at)
    change_holder(plane, state=C.PAUSED, state_since=paused_at)
    plane.dispatch()
    assert plane.ours() == dict.fromkeys(NAMES, (S.PLANNED, 0))
    plane.now = plane.bus.now = paused_at + IN_HAND_FOR
    plane.dispatch()
    assert plane.ours() == dict.fromkeys(NAMES, (S.OFFERED, 2))
    plane.check_counters()


def test_a_wait_for_a_withdrawal_ends_though_all_its_messages_are_lost() -> None:
    """I8: the rows of the campaign that was given up have deadlines of their own, and batches are visited."""
    plane = Contested(all_in(S.OFFERED), HIGHER)
    rows = plane.rollouts.read_batch(OTHER, plane.batches[0])
    due_at = NOON + timedelta(seconds=60)
    plane.rollouts.write(OTHER, 0, [RolloutChange(before=row, after=replace(row.value, due_at=due_at)) for row in rows])
    change_holder(plane, state=C.ABORTED)
    plane.dispatch()
    plane.bus.waiting.clear()
    plane.now = plane.bus.now = NOON + timedelta(minutes=6)
    visit_batch(BatchVisit(campaign=OTHER, batch=plane.batches[0]), plane.visit_ports(), now=plane.now)
    plane.visit()
    [due] = plane.coming_back()
    assert due == plane.now
    plane.dispatch()
    assert plane.ours() == dict.fromkeys(NAMES, (S.OFFERED, 2))
    assert {state for state, _ in plane.others().values()} == {S.TIMED_OUT}


def two_campaigns(
    world: CampaignWorld, first: dict[str, object], second: dict[str, object]
) -> tuple[Campaign, Campaign]:
    waves = [{"count": 5}, {"rest": True}]
    one = world.post(key="one", waves=waves, **first)
    world.now = world.bus.now = world.now + timedelta(seconds=1)
    return one, world.post(key="two", waves=waves, **second)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("words", [("wait", "wait"), ("skip", "wait"), ("supersede", "wait"), ("wait", "supersede")])
def test_campaigns_that_want_each_others_devices_all_come_to_an_end(words: tuple[str, str], seed: int) -> None:
    """No circle of waits closes, however their planning is mixed."""
    faults = Faults(duplicated=0.3, reordered=True, seed=seed)
    world = CampaignWorld(fleet(20), faults=faults)
    requests = [{"on_conflict": word, "priority": 900 if word == "supersede" else 500} for word in words]
    campaigns = two_campaigns(world, *requests)
    for campaign in campaigns:
        world.run(lambda campaign=campaign: world.campaign(campaign.id).is_finished, hours=24 * 9)
        assert world.campaign(campaign.id).state is C.COMPLETED, world.campaign(campaign.id)
    world.run()
    for campaign in campaigns:
        world.check_counters(campaign.id)
        assert {row.state for row in world.rollouts.rows(campaign.id).values()} <= FINAL
    rows = [row for campaign in campaigns for row in world.rollouts.rows(campaign.id).values()]
    sequences = [(row.device, row.sequence) for row in rows if row.state is S.SUCCEEDED]
    assert len(sequences) == len(set(sequences)), "each offer is a claim of its own"
    assert {row.device for row in rows if row.state is S.SUCCEEDED} == set(fleet(20)), "every device got a package"


def test_a_death_at_any_write_of_a_wait_ends_in_the_same_tables() -> None:
    """I4: planning, waiting and taking over, the process dying once at each write in turn."""

    def waited(life: Life) -> object:
        world = CampaignWorld(fleet(8), life=life)
        holder = at_last(lambda: world.post(key="one", gate={"soak_s": 1}))
        world.run(lambda: world.campaign(holder.id).state is C.RUNNING)
        waiter = at_last(lambda: world.post(key="two", on_conflict="wait"))
        world.run_until(waiter.id, C.COMPLETED)
        world.run()
        world.check_counters(waiter.id)
        found = world.end_state(waiter.id)
        return [(row[0], row[3]) for row in found["rows"]], found["campaign"][:2]

    check_every_death(waited)


def at_last(post: Callable[[], Campaign]) -> Campaign:
    try:
        return post()
    except Died:
        return post()


def test_a_higher_campaign_gets_the_hub_first() -> None:
    """Posted later and as large, it is through before the other, which goes on afterwards."""
    devices = fleet(3000)
    world = CampaignWorld(devices, rate_per_s=50.0)
    low = world.post(key="low", targets={"devices": devices[:2000]}).id
    world.run(lambda: world.now >= WORLD_NOON + timedelta(seconds=20))
    high = world.post(key="high", targets={"devices": devices[2000:]}, priority=900).id
    world.run_until(high, C.COMPLETED)
    done = sum(row.is_final for row in world.rollouts.rows(low).values())
    # A minute's worth of ten devices a second was reserved before, and begun batches are whole ones.
    assert 600 <= done <= 7 * 99
    assert world.now <= WORLD_NOON + timedelta(seconds=(done + 1000) / 10 + 10)
    world.run_until(low, C.COMPLETED)
