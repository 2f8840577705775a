"""Timer schedules."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.host.cron import parse_schedule

NOW = datetime(2026, 11, 23, 22, 10, 30, 500000, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 * * * * *", datetime(2026, 11, 23, 22, 11, tzinfo=UTC)),
        ("*/20 * * * * *", datetime(2026, 11, 23, 22, 10, 40, tzinfo=UTC)),
        ("0 */5 * * * *", datetime(2026, 11, 23, 22, 15, tzinfo=UTC)),
        ("0 0 3 * * *", datetime(2026, 11, 24, 3, tzinfo=UTC)),
        ("0 30 9 * * 1-5", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ("0 0 0 * * Sun", datetime(2026, 11, 29, tzinfo=UTC)),
        ("0 0 0 1 Jan,Mar *", datetime(2027, 1, 1, tzinfo=UTC)),
        ("0 0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0 0 0 13 * Fri", datetime(2027, 8, 13, tzinfo=UTC)),
        ("5/30 * * * * *", datetime(2026, 11, 23, 22, 10, 35, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 11, 23, 22, 15, tzinfo=UTC)),
        ("00:00:10", datetime(2026, 11, 23, 22, 10, 40, 500000, tzinfo=UTC)),
        ("1.00:00:00", datetime(2026, 11, 24, 22, 10, 30, 500000, tzinfo=UTC)),
    ],
)
def test_the_next_occurrence(schedule: str, expected: datetime) -> None:
    assert parse_schedule(schedule).next_after(NOW) == expected


@pytest.mark.parametrize("schedule", ["", "* *", "60 * * * * *", "0 0 0 0 * *", "x * * * * *", "5-1 * * * * *"])
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_schedule(schedule)


def test_a_schedule_that_never_fires_is_told() -> None:
    with pytest.raises(ValueError, match="never"):
        parse_schedule("0 0 0 30 2 *").next_after(NOW)


@given(st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)))  # noqa: DTZ001
def test_occurrences_are_later_whole_seconds_that_fit(moment: datetime) -> None:
    after = parse_schedule("15,45 3-9/2 * * * *").next_after(moment.replace(tzinfo=UTC))
    assert after > moment.replace(tzinfo=UTC)
    assert (after.second in {15, 45}, after.minute in {3, 5, 7, 9}, after.microsecond) == (True, True, 0)
