"""Rows of ``devices`` made anew, or raised, from the twins: after the table was lost or put back from an older copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from shared.domain.devices import DeviceRecord, restore
from shared.domain.ids import ring_order
from shared.domain.waves import MAX_BATCH_DEVICES
from shared.handlers.contention import until_written
from shared.ports.errors import PortError
from shared.ports.hub import KnownTwin, TwinLister
from shared.ports.rollouts import DeviceStore
from shared.ports.stored import Page, Stored

ATTEMPTS = 10
"""Tries for one page of twins. The smallest hubs answer twenty queries a minute."""

FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """How many twins were looked at, and how many rows they changed."""

    twins: int
    rows: int


def restore_devices(
    twins: TwinLister, devices: DeviceStore, *, now: datetime, pause: Callable[[float], None]
) -> Restored:
    """Raise every device's row to what its twin says. It may be broken off and repeated at any point.

    Args:
        pause: Waits so many seconds.

    Raises:
        PortError: The hub or the table did not answer, however often they were asked.
    """
    known = sorted(_list_all(twins, pause), key=lambda twin: ring_order(twin.device, 0))
    rows = sum(_restore_batch(devices, some, now) for some in batched(known, MAX_BATCH_DEVICES))
    return Restored(twins=len(known), rows=rows)


def _list_all(twins: TwinLister, pause: Callable[[float], None]) -> Iterator[KnownTwin]:
    continuation = ""
    while True:
        page = _list_page(twins, continuation, pause)
        yield from page.items
        continuation = page.continuation
        if not continuation:
            return


def _list_page(twins: TwinLister, continuation: str, pause: Callable[[float], None]) -> Page[KnownTwin]:
    for attempt in range(ATTEMPTS - 1):
        try:
            return twins.list_twins(continuation)
        except PortError:
            pause(min(FIRST_PAUSE_S * 2**attempt, LAST_PAUSE_S))
    return twins.list_twins(continuation)


def _restore_batch(devices: DeviceStore, known: Sequence[KnownTwin], now: datetime) -> int:
    def attempt() -> int:
        rows = devices.read_batch([twin.device for twin in known])
        changed = [change for twin in known if (change := _change(rows.get(twin.device), twin, now)) is not None]
        devices.write(changed)
        return len(changed)

    return until_written(attempt, what="device rows")


def _change(row: Stored[DeviceRecord] | None, twin: KnownTwin, now: datetime) -> Stored[DeviceRecord] | None:
    before = row.value if row is not None else DeviceRecord(device=twin.device, changed_at=now)
    after = restore(before, sequence=twin.sequence, installed=twin.installed, hardware=twin.hardware, now=now)
    return None if after == before else Stored(value=after, etag=row.etag if row is not None else "")
