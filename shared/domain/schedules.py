"""Schedules: when a campaign starts by itself, when it must end, and what becomes of it then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.errors import DomainError

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


def check_schedule(schedule: Schedule, *, now: datetime) -> None:
    """Return if the schedule can still be kept.

    Raises:
        ScheduleInvalid: It lies in the past, or more than a year ahead.
    """
    start, end = schedule.start_at, schedule.end_at
    if start is not None and start < now - LATE_START:
        raise ScheduleInvalid(f"schedule.start_at: {start.isoformat()} has passed; leave it out to start at once")
    if end is not None and end <= now:
        raise ScheduleInvalid(f"schedule.end_at: {end.isoformat()} has passed, the campaign could never start")
    for name, moment in (("start_at", start), ("end_at", end)):
        if moment is not None and moment > now + FARTHEST:
            raise ScheduleInvalid(f"schedule.{name}: must lie within {FARTHEST.days} days")
