"""The emergency stop: with one write nothing is offered any more, and with another everything comes back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.rollouts import RolloutState
from shared.domain.stops import FLEET
from shared.domain.walks import BatchPurpose
from shared.handlers.stop_fleet import FRESH_FOR_S, StopPorts, StopWatch, release_fleet, stop_fleet
from shared.handlers.wakeups import STOPPED_LOOK_S
from shared.ports.bus import Queue
from shared.ports.errors import ConcurrentChange
from shared.ports.stored import Stored
from shared.wire.alerts import ALERT
from shared.wire.http_fields import InvalidRequest
from shared.wire.http_stops import read_stop_request
from shared.wire.messages import read_batch_work
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.data_plane import DataPlane
from tests.support.memory_bus import MemoryEvents
from tests.support.memory_campaigns import MemoryAuditLog, MemoryStops
from tests.support.mortal import Died, Faults, Life, Mortal
from tests.support.rollouts import NOON

C, S = CampaignState, RolloutState
REASON = "smoke"


class Desk:
    """Where operators stop the fleet."""

    def __init__(self, stops: MemoryStops | None = None, life: Life | None = None) -> None:
        self.stops, self.audit, self.events = stops or MemoryStops(), MemoryAuditLog(), MemoryEvents()
        life = life or Life()
        self.ports = StopPorts(
            stops=Mortal(self.stops, life), audit=Mortal(self.audit, life), publisher=Mortal(self.events, life)
        )

    def stop(self, who: str = "ada", reason: str = REASON) -> None:
        stop_fleet(reason, self.ports, who=who, now=NOON)

    def release(self, who: str = "grace") -> None:
        release_fleet(self.ports, who=who, now=NOON)

    @property
    def deeds(self) -> list[tuple[str, str, str]]:
        return [(entry.what, entry.who, entry.detail) for entry in self.audit.read(FLEET)]


def test_stopping_and_releasing_are_idempotent_and_audited() -> None:
    """I9: who, when, why; what holds already is not done again."""
    desk = Desk()
    desk.release()
    for who in ("ada", "grace"):
        desk.stop(who)
    for _ in range(2):
        desk.release()
    desk.stop(reason="again")

    assert desk.deeds == [("stop", "ada", REASON), ("release", "grace", REASON), ("stop", "ada", "again")]
    assert [event.type for event in desk.events.events] == [ALERT] * 3
    # The repeat of a stop wakes people with an event that is a repeat too.
    assert len({event.id for event in desk.events.events}) == 2
    assert json.loads(desk.events.events[0].data)["code"] == "fleet_stopped"


@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_a_stop_that_died_anywhere_is_done_by_doing_it_again(dies_after_the_write: bool) -> None:
    """I4: one entry, one stop, and people woken."""
    for left in range(3):
        desk = Desk(life=Life(left=left, dies_after_the_write=dies_after_the_write))
        with pytest.raises(Died):
            desk.stop()
        desk.stop()
        assert desk.stops.get().value.stands
        assert desk.deeds == [("stop", "ada", REASON)]
        assert desk.events.events


def test_a_topic_that_is_down_does_not_keep_the_fleet_from_being_stopped() -> None:
    desk = Desk()
    desk.events.is_down = True
    desk.stop()
    assert desk.stops.get().value.stands


def test_two_who_stop_at_once_make_one_stop() -> None:
    class Raced(MemoryStops):
        raced = False

        def save(self, stop: Stored) -> None:  # type: ignore[type-arg]
            if not self.raced:
                self.raced = True
                Desk(self).stop("grace")
                raise ConcurrentChange("stop")
            super().save(stop)

    desk = Desk(Raced())
    desk.stop("ada")
    assert desk.stops.get().value.stopped_by == "grace"


@pytest.mark.parametrize(
    ("body", "field"), [(b"", "reason"), (b'{"reason": "  "}', "reason"), (b'{"why": "x"}', "why"), (b"{", "body")]
)
def test_a_stop_without_a_reason_is_refused(body: bytes, field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        read_stop_request(body)


def test_no_offer_leaves_while_the_stop_stands_and_the_batch_comes_back() -> None:
    plane = DataPlane(["gw-0", "gw-1"])
    Desk(plane.stops).stop()
    plane.dispatch()
    assert plane.states() == {S.PLANNED}
    assert not plane.hub.writes
    [waiting] = [entry for entry in plane.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]
    assert NOON < waiting.visible_at <= NOON + timedelta(seconds=STOPPED_LOOK_S)

    Desk(plane.stops).release()
    assert read_batch_work(waiting.message.body).batch == plane.batches[0]
    plane.dispatch()
    assert plane.states() == {S.OFFERED}


def test_messages_of_one_batch_that_are_put_off_come_back_as_one() -> None:
    """A stop of days must not fill the queue with repeats."""
    plane = DataPlane(["gw-0"])
    Desk(plane.stops).stop()
    for _ in range(3):
        plane.dispatch()
    assert len([entry for entry in plane.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]) == 1
    plane.now = plane.bus.now = NOON + timedelta(seconds=STOPPED_LOOK_S)
    plane.dispatch()
    assert len([entry for entry in plane.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]) == 2


def test_offers_are_taken_back_while_the_fleet_is_stopped() -> None:
    plane = DataPlane(["gw-0"])
    plane.dispatch()
    Desk(plane.stops).stop()
    plane.dispatch(purpose=BatchPurpose.WITHDRAW)
    assert plane.states() == {S.CANCELLED}
    assert "update" not in plane.hub.desired[plane.names[0]]


@pytest.mark.parametrize("seed", range(3))
def test_a_stopped_fleet_starts_no_wave_and_goes_on_where_it_was(seed: int) -> None:
    """Stopped in mid-campaign for two hours: gates still speak, nothing starts, and the end is the same."""
    world = CampaignWorld(fleet(30), faults=Faults(duplicated=0.3, dropped=0.2, reordered=True, seed=seed))
    waves = [{"count": 3}, {"percent": 20}, {"rest": True}]
    campaign = world.post(waves=waves).id
    world.run(lambda: world.campaign(campaign).state is C.RUNNING)
    Desk(world.stops).stop()
    before = world.campaign(campaign)
    end = world.now + timedelta(hours=2)
    world.run(lambda: world.now >= end)
    assert world.starts == []
    assert world.campaign(campaign).waves == before.waves

    Desk(world.stops).release()
    assert world.run_until(campaign, C.COMPLETED).reason == "all 3 waves passed"
    world.run()
    world.check_counters(campaign)


def test_the_wave_after_a_gate_waits_for_the_release() -> None:
    world = CampaignWorld(fleet(10))
    campaign = world.post(waves=[{"count": 3, "gate": {"soak_s": 600}}, {"rest": True}]).id
    world.run(lambda: len(world.starts) == 1)
    Desk(world.stops).stop()
    world.run(hours=1)
    assert len(world.starts) == 1
    Desk(world.stops).release()
    world.run_until(campaign, C.COMPLETED)


def test_downloads_go_by_a_stop_that_is_seconds_old_at_most() -> None:
    seconds = [0.0]
    stops = MemoryStops()
    watch = StopWatch(stops, clock=lambda: seconds[0])
    assert not watch.look().stands
    Desk(stops).stop()
    assert not watch.look().stands
    seconds[0] = FRESH_FOR_S
    assert watch.look().stands
