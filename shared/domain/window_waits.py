"""How long maintenance windows may make a device wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from shared.domain.windows import DEVICE_ZONE, Window, find_zone, next_opening

_ODD_OFFSETS_H = (-9.5, -3.5, -2.5, 3.5, 4.5, 5.5, 5.75, 6.5, 8.75, 9.5, 10.5, 12.75, 13.75)
_ZONES = tuple(timezone(timedelta(hours=hours)) for hours in (*range(-12, 15), *_ODD_OFFSETS_H))
"""UTC offsets in use (IANA time zone database): a device may be in any of them."""

_DAYS = 9
"""A week, and the day before, whose window may close on the next."""


def earliest_opening(windows: Sequence[Window], at: datetime) -> datetime | None:
    """The first moment from ``at`` on at which some device may install, wherever it is; None where none ever may."""
    if not windows:
        return at
    openings = (next_opening([each], at, device_zone=zone) for each in windows for zone in _zones(each))
    return min((opening for opening in openings if opening is not None), default=None)


def last_closing(windows: Sequence[Window], at: datetime) -> datetime | None:
    """The last moment up to ``at`` at which a window closed for some device; None where none did within a week."""
    closings = (
        closing
        for each in windows
        for zone in _zones(each)
        for closing in _closings([each], at - timedelta(days=8), device_zone=zone)
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


def _zones(window: Window) -> Sequence[tzinfo]:
    """The zones in which devices may be, as far as that matters to the window."""
    return _ZONES if window.zone == DEVICE_ZONE else [UTC]


def _closings(windows: Sequence[Window], at: datetime, *, device_zone: tzinfo = UTC) -> Iterator[datetime]:
    """The moments of the week after ``at`` at which a window closes."""
    for window in windows:
        zone = device_zone if window.zone == DEVICE_ZONE else find_zone(window.zone)
        today = at.astimezone(zone).date()
        for day in (today + timedelta(days=ahead) for ahead in range(_DAYS)):
            if day.isoweekday() in window.days:
                end_day = day if window.start < window.end else day + timedelta(days=1)
                yield datetime.combine(end_day, window.end, zone).astimezone(UTC)
