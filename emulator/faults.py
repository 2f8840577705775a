"""Faults for twin events, on demand: each is something IoT Hub's routing really does now and then."""

import asyncio
import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from emulator.hub import HubEvent

type Deliver = Callable[[HubEvent], None]


class FaultKind(StrEnum):
    """What happens to a chosen event."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"
    MERGE = "merge"


@dataclass(slots=True, kw_only=True)
class Fault:
    """One active fault.

    Attributes:
        probability: chance for each event, 0-1.
        count: how many events it still takes; None for no bound.
        hold_s: how long an event is held: the delay; for reorder and merge the longest wait for a next one.
    """

    kind: FaultKind
    probability: float = 1.0
    count: int | None = None
    hold_s: float = 0.5

    def chooses(self, rng: random.Random) -> bool:
        if self.count == 0 or rng.random() >= self.probability:
            return False
        if self.count is not None:
            self.count -= 1
        return True


def read_fault(fields: Mapping[str, Any]) -> Fault:
    """Read a fault from JSON: `{"kind", "probability"?, "count"?, "holdSeconds"?}`.

    Raises:
        ValueError: unknown kind or field, or a number out of range.
    """
    unknown = fields.keys() - {"kind", "probability", "count", "holdSeconds", "seed"}
    if unknown:
        raise ValueError(f"unknown fields: {sorted(unknown)}")
    probability = float(fields.get("probability", 1.0))
    if not 0 <= probability <= 1:
        raise ValueError("probability is not between 0 and 1")
    count = fields.get("count")
    return Fault(
        kind=FaultKind(fields["kind"]),
        probability=probability,
        count=None if count is None else int(count),
        hold_s=float(fields.get("holdSeconds", 0.5)),
    )


@dataclass(slots=True)
class _Held:
    event: HubEvent
    timer: asyncio.TimerHandle | None = field(default=None)


class TwinFaults:
    """Stands between the hub and the routes and spoils the twin events that its faults choose.

    Args:
        deliver: takes what comes out.
    """

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._faults: dict[FaultKind, Fault] = {}
        self._rng = random.Random()
        self._reordered: list[_Held] = []
        self._merging: dict[str, _Held] = {}
        self._delayed = 0
        self.applied = dict.fromkeys(FaultKind, 0)

    def set(self, fault: Fault, *, seed: int | None = None) -> None:
        """Switch a fault on; a `seed` makes all later choices repeatable."""
        self._faults[fault.kind] = fault
        if seed is not None:
            self._rng = random.Random(seed)

    def clear(self) -> None:
        """Switch all faults off and let go of what is held."""
        self._faults.clear()
        for device_id in list(self._merging):
            self._release_merged(device_id)
        self._release_reordered()

    @property
    def held(self) -> int:
        """Events that have not come out yet."""
        return self._delayed + len(self._reordered) + len(self._merging)

    def accept(self, event: HubEvent) -> None:
        """Take one twin event. Its body belongs to the hub, so what is held is a copy."""
        if event.device_id in self._merging:
            self._merge_into_held(event)
        elif self._choose(FaultKind.DROP):
            return
        elif self._choose(FaultKind.MERGE):
            self._hold_for_merge(event)
        elif self._choose(FaultKind.REORDER):
            self._hold_for_reorder(event)
        elif self._choose(FaultKind.DELAY):
            self._delay(event)
        else:
            self._pass_on(event)

    def _choose(self, kind: FaultKind) -> bool:
        fault = self._faults.get(kind)
        if fault is None or not fault.chooses(self._rng):
            return False
        self.applied[kind] += 1
        return True

    def _pass_on(self, event: HubEvent) -> None:
        self._deliver(event)
        if self._choose(FaultKind.DUPLICATE):
            self._deliver(event)
        self._release_reordered()

    def _delay(self, event: HubEvent) -> None:
        self._delayed += 1
        copy = _copy(event)
        self._later(FaultKind.DELAY, lambda: self._end_delay(copy))

    def _end_delay(self, event: HubEvent) -> None:
        self._delayed -= 1
        self._pass_on(event)

    def _hold_for_reorder(self, event: HubEvent) -> None:
        held = _Held(_copy(event))
        held.timer = self._later(FaultKind.REORDER, self._release_reordered)
        self._reordered.append(held)

    def _release_reordered(self) -> None:
        waiting, self._reordered = self._reordered, []
        for held in reversed(waiting):
            _cancel(held)
            self._deliver(held.event)

    def _hold_for_merge(self, event: HubEvent) -> None:
        held = _Held(_copy(event))
        held.timer = self._later(FaultKind.MERGE, lambda: self._release_merged(event.device_id))
        self._merging[event.device_id] = held

    def _merge_into_held(self, event: HubEvent) -> None:
        held = self._merging[event.device_id]
        held.event = replace(event, body=merge_changes(held.event.body, _copy(event).body))

    def _release_merged(self, device_id: str) -> None:
        held = self._merging.pop(device_id, None)
        if held is not None:
            _cancel(held)
            self._pass_on(held.event)

    def _later(self, kind: FaultKind, action: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._faults[kind].hold_s, action)


def _copy(event: HubEvent) -> HubEvent:
    return replace(event, body=deepcopy(event.body))


def _cancel(held: _Held) -> None:
    if held.timer is not None:
        held.timer.cancel()


def merge_changes(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """One notification that contains both changes; where they touch the same thing the later one wins."""
    merged = dict(earlier)
    for name, content in later.items():
        mine = merged.get(name)
        if isinstance(mine, Mapping) and isinstance(content, Mapping):
            merged[name] = merge_changes(mine, content)
        else:
            merged[name] = content
    return merged
