"""Messages that were set aside are sent again: whatever dies, none is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.handlers.replay import replay, replay_id
from shared.ports.bus import Queue
from tests.support.memory_bus import MemoryBus, MemoryParking
from tests.support.mortal import Died, Life, Mortal

BODIES = [b"one", b"two", b"three"]


class Scene:
    """Three parked messages and a queue that knows repeats."""

    def __init__(self) -> None:
        self.parking, self.bus = MemoryParking(), MemoryBus()
        for body in BODIES:
            self.parking.park(source="campaign-steps", body=body, code="x", reason="", session_id=body.decode())

    def replay(self, life: Life | None = None) -> int:
        life = life or Life()
        place = _Dying(self.parking, life)
        return replay(list(self.parking.list()), place, Mortal(self.bus, life))

    @property
    def sent(self) -> list[tuple[bytes, str]]:
        return [(message.body, message.session_id) for message in self.bus.sent_to(Queue.CAMPAIGN_STEPS)]


class _Dying(MemoryParking):
    """The same parking, whose process may die around each removal."""

    def __init__(self, parking: MemoryParking, life: Life) -> None:
        self.__dict__ = parking.__dict__
        self.life = life

    def remove(self, key: tuple[str, bytes], receipt: str) -> None:
        self.life.spend(lambda: MemoryParking.remove(self, key, receipt))


def test_what_was_parked_goes_back_to_its_queue_and_session() -> None:
    scene = Scene()
    assert scene.replay() == 3
    assert scene.sent == [(body, body.decode()) for body in BODIES]
    assert list(scene.parking.list()) == []


def lives() -> Iterator[tuple[int, bool]]:
    for left in range(6):
        yield from ((left, True), (left, False))


@pytest.mark.parametrize(("left", "dies_after_the_write"), list(lives()))
def test_a_death_at_any_write_loses_nothing_and_repeats_nothing(left: int, dies_after_the_write: bool) -> None:
    scene = Scene()
    with pytest.raises(Died):
        scene.replay(Life(left=left, dies_after_the_write=dies_after_the_write))
    scene.replay()
    assert sorted(scene.sent) == sorted((body, body.decode()) for body in BODIES)
    assert list(scene.parking.list()) == []


def test_a_message_parked_again_after_a_replay_gets_another_id() -> None:
    """Or the queue would drop it, and the replay would remove it."""
    parking = MemoryParking()
    parking.park(source="device-batches", body=b"1", code="x", reason="")
    [first] = parking.list()
    parking.park(source="device-batches", body=b"1", code="x", reason="")
    [second] = parking.list()
    assert first.id == second.id
    assert replay_id(first) != replay_id(second)


def test_what_no_queue_takes_stays() -> None:
    parking, bus = MemoryParking(), MemoryBus()
    parking.park(source="twin-changes", body=b"1", code="x", reason="")
    assert replay(list(parking.list()), parking, bus) == 0
    assert len(list(parking.list())) == 1


def test_a_message_without_a_session_gets_one_where_the_queue_asks_for_it() -> None:
    parking, bus = MemoryParking(), MemoryBus()
    for source in ("reports", "device-batches"):
        parking.park(source=source, body=b"1", code="x", reason="")
    replay(list(parking.list()), parking, bus)
    assert [message.session_id for message in bus.sent_to(Queue.REPORT_BACKLOG)] == ["replay"]
    assert [message.session_id for message in bus.sent_to(Queue.DEVICE_BATCHES)] == [""]
