"""Cancelling while a batch is being offered leaves no offer standing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.ids import DeviceId
from shared.domain.rollouts import RolloutState
from shared.domain.walks import BatchPurpose
from shared.handlers.dispatch_batch import dispatch_batch
from shared.ports.bus import Queue
from shared.ports.hub import TwinResult, TwinWrite
from shared.wire.messages import BatchWork, read_batch_work
from tests.support.data_plane import DataPlane
from tests.support.memory_hub import MemoryHub
from tests.support.mortal import Died

S = RolloutState
NAMES = ["gw-0", "gw-1", "gw-2"]
FUNCTION_TIMEOUT_S = 600


class SlowHub(MemoryHub):
    """A hub on the way to which much may happen; ``before`` happens once, before the next batch is written."""

    def __init__(self, devices: Sequence[DeviceId], before: Callable[[], None]) -> None:
        super().__init__(devices)
        self.before: Callable[[], None] | None = before

    def write(self, writes: Sequence[TwinWrite]) -> list[TwinResult]:
        if (before := self.before) is not None:
            self.before = None
            before()
        return super().write(writes)


def cancel(plane: DataPlane) -> None:
    """Cancel the campaign and withdraw the batch at once."""
    plane.set_campaign(CampaignState.ABORTED)
    plane.dispatch(purpose=BatchPurpose.WITHDRAW)


def next_withdrawal(plane: DataPlane) -> BatchWork | None:
    """The withdrawal that waits, once its time has come."""
    waiting = [entry for entry in plane.bus.waiting if entry.queue is Queue.DEVICE_BATCHES]
    if not waiting:
        return None
    plane.bus.waiting.remove(waiting[0])
    plane.pass_time((waiting[0].visible_at - plane.now).total_seconds())
    return read_batch_work(waiting[0].message.body)


def test_offers_written_after_their_withdrawal_are_cleared_again() -> None:
    plane = DataPlane(NAMES)
    plane.hub = SlowHub(plane.names, lambda: cancel(plane))
    plane.dispatch()
    assert all("update" in plane.hub.desired[name] for name in plane.names)
    work = next_withdrawal(plane)
    assert work is not None
    dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
    assert plane.states() == {S.CANCELLED}
    assert not any("update" in plane.hub.desired[name] for name in plane.names)
    assert next_withdrawal(plane) is None
    plane.check_counters()


def test_offers_nobody_finishes_are_cancelled_once_no_function_can_have_them_in_hand() -> None:
    plane = DataPlane(NAMES)
    plane.life.left = 1
    with pytest.raises(Died):
        plane.dispatch()
    plane.life.left = None
    began = plane.now
    cancel(plane)
    while (work := next_withdrawal(plane)) is not None:
        assert plane.states() == {S.OFFERED}
        dispatch_batch(work, plane.dispatch_ports(), now=plane.now)
    assert plane.states() == {S.CANCELLED}
    assert (plane.now - began).total_seconds() >= FUNCTION_TIMEOUT_S
    plane.check_counters()
