"""The data plane of one campaign whose device batches come up at their times, and all that it asks of the hub."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from shared.domain.pacing import CHARGE_PER_DEVICE, NO_LOAD, TAKE_BACK_LOAD
from shared.domain.stops import release, stop
from shared.domain.walks import BatchPurpose
from shared.handlers.dispatch_batch import dispatch_batch
from shared.handlers.reserve_slots import reserve_slots
from shared.ports.bus import Queue
from shared.ports.hub import TwinResult, TwinWrite
from shared.ports.stored import Stored
from shared.wire.messages import read_batch_work
from tests.support.data_plane import DataPlane
from tests.support.memory_bus import Waiting
from tests.support.memory_hub import MemoryHub
from tests.support.rollouts import CAMPAIGN

RATE_PER_S = 50.0
DEVICES_PER_S = RATE_PER_S / CHARGE_PER_DEVICE
BATCH = 99
MOST_STEPS = 100

_LOADS = {BatchPurpose.WITHDRAW: TAKE_BACK_LOAD}

type Ask = tuple[datetime, str]


class RecordingHub(MemoryHub):
    """A hub that notes each twin write that it is asked for, taken or not.

    Attributes:
        asks: When, and of which device.
    """

    def __init__(self, devices: Iterable[str], clock: Callable[[], datetime]) -> None:
        super().__init__(devices)
        self._clock = clock
        self.asks: list[Ask] = []

    def write(self, writes: Sequence[TwinWrite]) -> list[TwinResult]:
        self.asks += [(self._clock(), each.device) for each in writes]
        return super().write(writes)


class ClockedPlane(DataPlane):
    """A running campaign over as many devices; the budget is that of an S1 hub."""

    def __init__(self, devices: int, **spec: Any) -> None:
        super().__init__([f"gw-{number}" for number in range(devices)])
        self.recorder = RecordingHub(self.names, lambda: self.now)
        self.hub = self.recorder
        self._steps = count(10)
        if spec:
            self.change(spec=replace(self.campaign.spec, **spec))

    @property
    def asks(self) -> list[Ask]:
        """What the hub was asked for."""
        return self.recorder.asks

    def change(self, **fields: Any) -> None:
        """Have fields of the campaign say something else, signed as it is posted."""
        stored = self.campaigns.get(CAMPAIGN)
        self.campaign = self.specs.sign(replace(stored.value, **fields))
        self.campaigns.save(Stored(value=self.campaign, etag=stored.etag))

    def stop_fleet(self) -> None:
        """Press the emergency stop."""
        standing = self.stops.get()
        self.stops.save(Stored(value=stop(standing.value, "bad", who="ada", now=self.now), etag=standing.etag))

    def release_fleet(self) -> None:
        """Let the fleet go on."""
        standing = self.stops.get()
        self.stops.save(Stored(value=release(standing.value, who="ada", now=self.now), etag=standing.etag))

    def send_wave(
        self, purpose: BatchPurpose = BatchPurpose.OFFER, *, before: Callable[[], bool] = lambda: False
    ) -> None:
        """Put all batches on the queue, a minute's worth at a time, as campaign steps do.

        Args:
            before: What others do each time before this campaign asks for slots.
        """
        left = list(self.batches)
        for _ in range(MOST_STEPS):
            if not left:
                return
            before()
            reservation = reserve_slots(self.budget, left, now=self.now, load=_LOADS.get(purpose, NO_LOAD))
            self.bus.send(Queue.DEVICE_BATCHES, list(reservation.work(CAMPAIGN, purpose, next(self._steps))))
            left = left[len(reservation.slots) :]
            if left:
                self.run(before, until_at=reservation.look_again_at)
                self.now = self.bus.now = reservation.look_again_at
        raise AssertionError("the campaign gets no slots")

    def due_work(self) -> list[Waiting]:
        """The work for device batches that waits, the next first."""
        work = [entry for entry in self.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]
        return sorted(work, key=lambda each: each.visible_at)

    def run(
        self,
        until: Callable[[], bool] = lambda: False,
        *,
        hours: float = 24,
        until_at: datetime | None = None,
        late_s: float = 0,
    ) -> None:
        """Deliver work for device batches in the order of its time until the condition holds, or none is left.

        Args:
            late_s: How much later than its time each message comes.
        """
        end = until_at or self.now + timedelta(hours=hours)
        late = timedelta(seconds=late_s)
        while not until():
            if not (work := self.due_work()) or work[0].visible_at + late > end:
                return
            self.bus.waiting.remove(work[0])
            self.now = self.bus.now = max(self.now, work[0].visible_at + late)
            dispatch_batch(read_batch_work(work[0].message.body), self.dispatch_ports(), now=self.now)

    def charged_s(self) -> float:
        """How long the hub is taken for what was reserved."""
        return (self.budget.get().value.next_free_at - self.now).total_seconds()


def most_in(asks: Iterable[Ask], window_s: float) -> int:
    """The most asks within any time of that length."""
    times = sorted(at.timestamp() for at, _ in asks)
    return max(bisect_left(times, begin + window_s) - bisect_left(times, begin) for begin in set(times))


def check_within_budget(asks: Sequence[Ask], *, updates: int = CHARGE_PER_DEVICE, slack_s: float = 1) -> None:
    """No window, however long, holds more than the hub's rate times its length, and one device batch.

    Args:
        updates: Twin updates that each ask is charged.
        slack_s: Slots begin with a whole second.
    """
    for window_s in (1, 5, 10, 30, 60, 120, 600):
        allowed = RATE_PER_S / updates * (window_s + slack_s) + BATCH
        assert most_in(asks, window_s) <= allowed, f"{most_in(asks, window_s)} in {window_s} s, {allowed} allowed"
