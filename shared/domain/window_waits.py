"""How long maintenance windows may make a device wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from shared.domain.windows import DEVICE_ZONE, Window, find_zone, next_opening

_OFFSETS_H = range(-12, 15)
"""UTC offsets in use, in whole hours: a device may be in any of them."""

_DAYS = 9
"""A week, and the day before, whose window may close on the next."""


def earliest_opening(windows: Sequence[Window], at: datetime) -> datetime | None:
    """The first moment from ``at`` on at which some device may install, wherever it is; None where none ever may."""
    openings = [next_opening(windows, at, device_zone=zone) for zone in _zones(windows)]
    return min((opening for opening in openings if opening is not None), default=None)


def last_closing(windows: Sequence[Window], at: datetime) -> datetime | None:
    """The last moment up to ``at`` at which a window closed for some device; None where none did within a week."""
    closings = (
        closing
        for zone in _zones(windows)
        for closing in _closings(windows, at - timedelta(days=8), device_zone=zone)
        if closing <= at
    )
    return max(closings, default=None)


def longest_wait_s(windows: Sequence[Window], at: datetime) -> float:
    """Seconds from the worst moment of the week that follows ``at`` to the next opening; 0 without windows.

    Windows in the device's own zone are looked at as in UTC: in all zones the waits are as long.
    """
    waits = [
        (opening - closing).total_seconds()
        for closing in _closings(windows, at)
        if (opening := next_opening(windows, closing, device_zone=UTC)) is not None
    ]
    return max(waits, default=0.0)


def _zones(windows: Sequence[Window]) -> Sequence[tzinfo]:
    """The zones in which devices may be, as far as that matters."""
    if not any(window.zone == DEVICE_ZONE for window in windows):
        return [UTC]
    return [timezone(timedelta(hours=hours)) for hours in _OFFSETS_H]


def _closings(windows: Sequence[Window], at: datetime, *, device_zone: tzinfo = UTC) -> Iterator[datetime]:
    """The moments of the week after ``at`` at which a window closes."""
    for window in windows:
        zone = device_zone if window.zone == DEVICE_ZONE else find_zone(window.zone)
        today = at.astimezone(zone).date()
        for day in (today + timedelta(days=ahead) for ahead in range(_DAYS)):
            if day.isoweekday() in window.days:
                end_day = day if window.start < window.end else day + timedelta(days=1)
                yield datetime.combine(end_day, window.end, zone).astimezone(UTC)
