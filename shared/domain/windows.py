"""Maintenance windows: when a device may install, in its own time zone or a named one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.domain.errors import DomainError

DEVICE_ZONE = "device"
MAX_WINDOWS = 8
"""They travel in an intent, which must fit into a twin's string of 4 KB (IoT Hub developer guide, device twins)."""

_LOOK_AHEAD_DAYS = 15
"""A window opens every week; two weeks ahead pass every change of the clocks."""


class WindowInvalid(DomainError):
    """A window that can never open, or whose time zone nobody knows; the message names the field."""

    code = "window_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Open from ``start`` until ``end`` on each of the days; past midnight where ``end`` is not later than ``start``.

    Attributes:
        days: ISO weekdays on which it begins, 1 (Monday) to 7.
        start: Local time of day.
        end: Local time of day; the same as ``start`` means 24 hours.
        zone: An IANA name such as ``Europe/Berlin``, or ``device`` for the zone the device is told it is in.

    Raises:
        WindowInvalid: No day, an unknown day, or an unknown zone.
    """

    days: tuple[int, ...]
    start: time
    end: time
    zone: str = DEVICE_ZONE

    def __post_init__(self) -> None:
        if not self.days or not set(self.days) <= set(range(1, 8)):
            raise WindowInvalid("days: name at least one day of the week, or the window never opens")
        if self.zone != DEVICE_ZONE:
            find_zone(self.zone)


def find_zone(name: str) -> tzinfo:
    """The time zone of that IANA name.

    Raises:
        WindowInvalid: There is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise WindowInvalid(f"zone: {name[:60]!r} is no time zone; use an IANA name such as Europe/Berlin") from error


def is_open(windows: Sequence[Window], at: datetime, *, device_zone: tzinfo) -> bool:
    """Whether one of the windows is open; no windows at all are always open.

    Args:
        at: Aware.
    """
    return not windows or any(_is_open(window, at.astimezone(_zone(window, device_zone))) for window in windows)


def next_opening(windows: Sequence[Window], at: datetime, *, device_zone: tzinfo) -> datetime | None:
    """The next moment, aware UTC, at which one is open, ``at`` itself included; None where none opens in two weeks."""
    if is_open(windows, at, device_zone=device_zone):
        return at
    openings = [opening for window in windows for opening in _openings(window, at, device_zone)]
    return min(openings, default=None)


def _openings(window: Window, at: datetime, device_zone: tzinfo) -> list[datetime]:
    zone = _zone(window, device_zone)
    today = at.astimezone(zone).date()
    days = [today + timedelta(days=ahead) for ahead in range(_LOOK_AHEAD_DAYS)]
    starts = [moment for day in days for moment in _moments(day, window.start, zone)]
    # Clocks that are put forward may jump into a window, and those that are put back may come back into one.
    if not isinstance(zone, timezone):
        starts += [moment for day in days if (moment := _change_of_clocks(day, zone)) is not None]
    return [start for start in starts if start > at and _is_open(window, start.astimezone(zone))]


def _moments(day: date, at: time, zone: tzinfo) -> set[datetime]:
    """The moments with that local time, aware UTC: two of them where clocks are put back over it."""
    return {datetime.combine(day, at, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)}


def _change_of_clocks(day: date, zone: tzinfo) -> datetime | None:
    """When the clocks of the zone are changed on that day, aware UTC and to the second; None where they are not."""
    first, last = (datetime.combine(each, time(), zone).astimezone(UTC) for each in (day, day + timedelta(days=1)))
    offset = first.astimezone(zone).utcoffset()
    if last.astimezone(zone).utcoffset() == offset:
        return None
    while last - first > timedelta(seconds=1):
        middle = (first + (last - first) / 2).replace(microsecond=0)
        first, last = (middle, last) if middle.astimezone(zone).utcoffset() == offset else (first, middle)
    return last


def _is_open(window: Window, local: datetime) -> bool:
    began_today = local.isoweekday() in window.days
    began_yesterday = (local - timedelta(days=1)).isoweekday() in window.days
    now = local.time()
    if window.start < window.end:
        return began_today and window.start <= now < window.end
    return (began_today and now >= window.start) or (began_yesterday and now < window.end)


def _zone(window: Window, device_zone: tzinfo) -> tzinfo:
    return device_zone if window.zone == DEVICE_ZONE else find_zone(window.zone)
