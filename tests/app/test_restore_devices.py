"""The table of devices made anew from the twins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.devices import DeviceRecord, claim
from shared.domain.ids import CampaignId, DeviceId
from shared.handlers.restore_devices import ATTEMPTS, Restored, restore_devices
from shared.ports.errors import Throttled
from shared.ports.hub import KnownTwin
from shared.ports.stored import Page, Stored
from tests.support.memory_rollouts import MemoryDevices
from tests.support.mortal import Died, Life, Mortal
from tests.support.rollouts import NOON

PAGE = 100


class Twins:
    """A ``TwinLister`` over these, which first refuses as often as it was told to."""

    def __init__(self, twins: Sequence[KnownTwin], *, refusals: int = 0) -> None:
        self.twins = twins
        self.refusals = refusals

    def list_twins(self, continuation: str = "") -> Page[KnownTwin]:
        if self.refusals:
            self.refusals -= 1
            raise Throttled("later")
        start = int(continuation or 0)
        end = start + PAGE
        return Page(items=tuple(self.twins[start:end]), continuation=str(end) if end < len(self.twins) else "")


def twin(number: int, sequence: int = 7) -> KnownTwin:
    return KnownTwin(
        device=DeviceId(f"dev-{number}"), sequence=sequence, installed={"thermostat": "2.0.0"}, hardware="rev-b"
    )


def run(twins: Twins, devices: MemoryDevices) -> Restored:
    pauses: list[float] = []
    return restore_devices(twins, devices, now=NOON, pause=pauses.append)


def row(devices: MemoryDevices, device: DeviceId) -> DeviceRecord:
    return devices.read_batch([device])[device].value


def test_a_lost_table_is_made_anew_and_the_next_claim_is_above_what_devices_took() -> None:
    devices = MemoryDevices()
    known = [twin(number, sequence=number) for number in range(250)]
    assert run(Twins(known), devices) == Restored(twins=250, rows=250)
    for one in known:
        found = row(devices, one.device)
        assert (found.sequence, found.installed, found.hardware) == (one.sequence, one.installed, "rev-b")
        assert claim(found, CampaignId("c1"), now=NOON).sequence > one.sequence
    assert run(Twins(known), devices) == Restored(twins=250, rows=0)


def test_an_older_copy_is_raised_and_nothing_newer_lowered() -> None:
    devices = MemoryDevices()
    held = DeviceRecord(
        device=DeviceId("dev-1"), sequence=9, held_by=CampaignId("c1"), installed={"pump": "1.0"}, changed_at=NOON
    )
    older = replace(held, device=DeviceId("dev-2"), sequence=3)
    devices.write([Stored(value=held, etag=""), Stored(value=older, etag="")])
    assert run(Twins([twin(1), twin(2)]), devices).rows == 2
    first, second = row(devices, held.device), row(devices, older.device)
    assert (first.sequence, second.sequence) == (9, 7)
    assert first.held_by == second.held_by == "c1"
    assert first.installed == {"pump": "1.0", "thermostat": "2.0.0"}


def test_a_device_that_was_never_offered_anything_gets_its_row_with_what_it_runs() -> None:
    devices = MemoryDevices()
    run(Twins([twin(1, sequence=0)]), devices)
    assert (row(devices, DeviceId("dev-1")).sequence, row(devices, DeviceId("dev-1")).installed) == (
        0,
        {"thermostat": "2.0.0"},
    )


def test_a_busy_hub_is_asked_again_later_each_time_and_not_for_ever() -> None:
    pauses: list[float] = []
    twins = Twins([twin(1)], refusals=ATTEMPTS - 1)
    assert restore_devices(twins, MemoryDevices(), now=NOON, pause=pauses.append).rows == 1
    assert pauses == sorted(pauses)
    assert len(pauses) == ATTEMPTS - 1
    with pytest.raises(Throttled):
        run(Twins([twin(1)], refusals=ATTEMPTS), MemoryDevices())


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("writes", [0, 1, 2])
def test_dying_at_any_write_and_running_again_ends_in_the_same_rows(writes: int, after: bool) -> None:
    known = [twin(number) for number in range(210)]
    devices, life = MemoryDevices(), Life(left=writes, dies_after_the_write=after)
    with pytest.raises(Died):
        restore_devices(Twins(known), Mortal(devices, life), now=NOON, pause=lambda _: None)  # type: ignore[arg-type]
    run(Twins(known), devices)
    assert {row(devices, one.device).sequence for one in known} == {7}
    assert run(Twins(known), devices).rows == 0


def test_a_row_that_somebody_writes_meanwhile_is_read_again() -> None:
    devices = MemoryDevices()

    class Meddler:
        """Claims the device between the first read and the first write."""

        meddled = False

        def read_batch(self, asked: Sequence[DeviceId]) -> object:
            found = devices.read_batch(asked)
            if not self.meddled:
                self.meddled = True
                record = DeviceRecord(device=asked[0], sequence=8, changed_at=NOON + timedelta(seconds=1))
                devices.write([Stored(value=record, etag="")])
            return found

        def write(self, records: Sequence[Stored[DeviceRecord]]) -> None:
            devices.write(records)

    restore_devices(Twins([twin(1)]), Meddler(), now=NOON, pause=lambda _: None)  # type: ignore[arg-type]
    assert (row(devices, DeviceId("dev-1")).sequence, row(devices, DeviceId("dev-1")).hardware) == (8, "rev-b")
