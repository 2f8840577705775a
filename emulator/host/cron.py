"""Timer schedules: NCRONTAB with six fields (seconds first) or five, or a time span."""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from emulator.host.host_json import parse_time_span

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name.lower(): (number + 1) % 7 for number, name in enumerate(calendar.day_abbr)}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_SEARCH_DAYS = 366 * 8  # 29 February can be eight years away


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A schedule that fires every `period`."""

    period: timedelta

    def next_after(self, moment: datetime) -> datetime:
        return moment + self.period


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """Allowed values per field. Day and day of week must both match, as in NCrontab."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def next_after(self, moment: datetime) -> datetime:
        """The first occurrence after `moment` (aware), in UTC.

        Raises:
            ValueError: the schedule never fires, such as 30 February.
        """
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for offset in range(_SEARCH_DAYS):
            day = start.date() + timedelta(days=offset)
            weekday = day.isoweekday() % 7
            if day.month in self.months and day.day in self.days and weekday in self.weekdays:
                midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
                found = next((at for at in self._times(midnight) if at >= start), None)
                if found is not None:
                    return found
        raise ValueError("the schedule never fires")

    def _times(self, midnight: datetime) -> Iterator[datetime]:
        for hour in self.hours:
            for minute in self.minutes:
                for second in self.seconds:
                    yield midnight.replace(hour=hour, minute=minute, second=second)


Schedule = Interval | Crontab


def parse_schedule(text: str) -> Schedule:
    """Parse a timer's schedule.

    Raises:
        ValueError: neither a time span nor an NCRONTAB expression.
    """
    fields = text.split()
    if len(fields) == 1:
        return Interval(period=timedelta(seconds=parse_time_span(text)))
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise ValueError(f"a schedule has five or six fields: {text!r}")
    seconds, minutes, hours, days, months, weekdays = (
        _parse_field(field, *rule) for field, rule in zip(fields, _FIELDS, strict=True)
    )
    return Crontab(
        seconds=seconds,
        minutes=minutes,
        hours=hours,
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(weekdays),
    )


def _parse_field(field: str, name: str, low: int, high: int, names: dict[str, int]) -> tuple[int, ...]:
    chosen: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, last = _parse_span(span, low, high, names)
        if step and "-" not in span and span != "*":
            last = high
        if not low <= first <= last <= high or (step and int(step) < 1):
            raise ValueError(f"{name}: {field!r} is outside {low}-{high}")
        chosen.update(range(first, last + 1, int(step or 1)))
    return tuple(sorted(chosen))


def _parse_span(span: str, low: int, high: int, names: dict[str, int]) -> tuple[int, int]:
    if span == "*":
        return low, high
    first, _, last = span.partition("-")
    start = names.get(first.lower()[:3]) if not first.isdigit() else int(first)
    end = start if not last else names.get(last.lower()[:3]) if not last.isdigit() else int(last)
    if start is None or end is None:
        raise ValueError(f"not a number or name: {span!r}")
    return start, end
