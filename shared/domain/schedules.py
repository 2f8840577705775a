"""Schedules: when a campaign starts by itself, when it must end, and what becomes of it then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.errors import DomainError
from shared.domain.window_waits import earliest_opening
from shared.domain.windows import Window

LATE_START = timedelta(minutes=5)
"""A start no longer past than this means now: the request may have been on its way, and clocks differ."""

FARTHEST = timedelta(days=366)


class AtEnd(StrEnum):
    """What becomes of a campaign that is not finished when its schedule ends."""

    PAUSE = "pause"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a campaign may work.

    Attributes:
        start_at: Aware UTC; None: as soon as it is planned and approved.
        end_at: Aware UTC; from then on no wave starts and nobody is offered anything. None: no end.
    """

    start_at: datetime | None = None
    end_at: datetime | None = None
    at_end: AtEnd = AtEnd.PAUSE


class ScheduleInvalid(DomainError):
    """A schedule that cannot be kept; the message names the field."""

    code = "invalid_request"


def check_schedule(schedule: Schedule, windows: Sequence[Window] = (), *, now: datetime) -> None:
    """Return if the schedule can still be kept.

    Args:
        windows: When devices may install.

    Raises:
        ScheduleInvalid: It lies in the past, or more than a year ahead; or no window opens before it ends.
    """
    start, end = schedule.start_at, schedule.end_at
    if start is not None and start < now - LATE_START:
        raise ScheduleInvalid(f"schedule.start_at: {start.isoformat()} has passed; leave it out to start at once")
    if end is not None and end <= now:
        raise ScheduleInvalid(f"schedule.end_at: {end.isoformat()} has passed, the campaign could never start")
    for name, moment in (("start_at", start), ("end_at", end)):
        if moment is not None and moment > now + FARTHEST:
            raise ScheduleInvalid(f"schedule.{name}: must lie within {FARTHEST.days} days")
    _check_windows(schedule, windows, now)


def _check_windows(schedule: Schedule, windows: Sequence[Window], now: datetime) -> None:
    if schedule.end_at is None:
        return
    opening = earliest_opening(windows, max(now, schedule.start_at or now))
    if opening is None or opening >= schedule.end_at:
        then = "opens never" if opening is None else f"opens at {opening.isoformat()}"
        raise ScheduleInvalid(
            f"windows: the first one {then}, and schedule.end_at is {schedule.end_at.isoformat()}: no device, wherever "
            "it is, could install"
        )
