"""An operator stops the whole fleet, or lets it go on.

The stop changes no campaign: dispatch, campaign steps and downloads look at it by themselves, and put off what they
were asked to do. So a stop takes hold with one write, whatever is going on, and nothing must be woken when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from shared.domain.audit import AuditEntry
from shared.domain.stops import FLEET, FleetStop, release, stop
from shared.handlers.alerts import raise_alert
from shared.handlers.contention import until_written
from shared.ports.bus import EventPublisher
from shared.ports.campaigns import AuditLog
from shared.ports.stops import StopStore
from shared.ports.stored import Stored

FRESH_FOR_S = 3.0
"""How long a download may go by what was last read: thousands of devices ask at once, a stop may take seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPorts:
    """What stopping needs from outside."""

    stops: StopStore
    audit: AuditLog
    publisher: EventPublisher


def stop_fleet(reason: str, ports: StopPorts, *, who: str, now: datetime) -> FleetStop:
    """The stop that stands afterwards; stopping a stopped fleet changes nothing and wakes people once more.

    Raises:
        PortError: It may stand already; stopping again is safe.
    """
    after = _change(lambda before: stop(before, reason, who=who, now=now), "stop", ports, who, now)
    message = f"{after.stopped_by} stopped the whole fleet: {after.reason}; DELETE /stop lets it go on"
    raise_alert(ports.publisher, subject=FLEET, code="fleet_stopped", message=message, now=after.stopped_at or now)
    return after


def release_fleet(ports: StopPorts, *, who: str, now: datetime) -> FleetStop:
    """The fleet with nothing that stops it; releasing it twice changes nothing.

    Raises:
        PortError: It may still stand; releasing again is safe.
    """
    return _change(lambda before: release(before, who=who, now=now), "release", ports, who, now)


def _change(
    decide: Callable[[FleetStop], FleetStop], what: str, ports: StopPorts, who: str, now: datetime
) -> FleetStop:
    def attempt() -> FleetStop:
        before = ports.stops.get()
        after = decide(before.value)
        if after != before.value:
            ports.audit.append(_entry(before.value, after, what, who, now))
            ports.stops.save(Stored(value=after, etag=before.etag))
        return after

    return until_written(attempt, what="the emergency stop")


def _entry(before: FleetStop, after: FleetStop, what: str, who: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        campaign=FLEET,
        step=after.number,
        at=now,
        who=who,
        what=what,
        before=_word(before),
        after=_word(after),
        detail=after.reason,
    )


def _word(state: FleetStop) -> str:
    return "stopped" if state.stands else "released"


class StopWatch:
    """The stop as downloads see it: at most ``FRESH_FOR_S`` old, so that they do not read the row each."""

    def __init__(self, stops: StopStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stops = stops
        self._clock = clock
        self._known: FleetStop | None = None
        self._read_at = 0.0
        self._lock = Lock()

    def look(self) -> FleetStop:
        """The stop.

        Raises:
            PortError: It cannot be read now.
        """
        with self._lock:
            asked_at = self._clock()
            if self._known is None or asked_at - self._read_at >= FRESH_FOR_S:
                self._known, self._read_at = self._stops.get().value, asked_at
            return self._known
