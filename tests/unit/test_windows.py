"""Maintenance windows: when they are open, and when the next one opens."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.windows import DEVICE_ZONE, Window, WindowInvalid, is_open, next_opening

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Window(days=(5,), start=time(22), end=time(4), zone="Europe/Berlin")
FRIDAY = datetime(2026, 11, 27, tzinfo=BERLIN)

windows = st.builds(
    Window,
    days=st.sets(st.integers(1, 7), min_size=1).map(tuple),
    start=st.times().map(lambda moment: moment.replace(second=0, microsecond=0)),
    end=st.times().map(lambda moment: moment.replace(second=0, microsecond=0)),
    zone=st.sampled_from([DEVICE_ZONE, "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
moments = st.integers(0, 2 * 365 * 24 * 60).map(
    lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@pytest.mark.parametrize(
    ("hours", "expected"), [(21.99, False), (22, True), (26, True), (27.99, True), (28, False), (46, False)]
)
def test_window_past_midnight_belongs_to_the_day_it_begins_on(hours: float, expected: bool) -> None:
    assert is_open([NIGHT], FRIDAY + timedelta(hours=hours), device_zone=UTC) is expected


def test_no_windows_are_always_open() -> None:
    assert is_open([], FRIDAY, device_zone=UTC)


def test_equal_times_mean_the_whole_day() -> None:
    whole = Window(days=(5,), start=time(6), end=time(6), zone="UTC")
    opens = datetime(2026, 11, 27, 6, tzinfo=UTC)
    assert [is_open([whole], opens + timedelta(hours=h), device_zone=UTC) for h in (-1, 0, 23, 24)] == [
        False,
        True,
        True,
        False,
    ]


def test_device_windows_follow_the_zone_of_the_device() -> None:
    window = Window(days=(1, 2, 3, 4, 5, 6, 7), start=time(2), end=time(3))
    at = datetime(2026, 7, 1, 0, 30, tzinfo=UTC)
    assert is_open([window], at, device_zone=BERLIN)
    assert not is_open([window], at, device_zone=UTC)


def test_a_window_that_the_clocks_jump_over_does_not_open_that_day() -> None:
    jumped = Window(days=(7,), start=time(2, 15), end=time(2, 45), zone="Europe/Berlin")
    before = datetime(2026, 3, 29, 0, tzinfo=BERLIN)
    opening = next_opening([jumped], before, device_zone=UTC)
    assert opening == datetime(2026, 4, 5, 2, 15, tzinfo=BERLIN)


@given(windows, moments)
def test_next_opening_is_open_and_not_before(window: Window, at: datetime) -> None:
    opening = next_opening([window], at, device_zone=BERLIN)
    assert opening is not None
    assert opening >= at
    assert is_open([window], opening, device_zone=BERLIN)


@given(windows, moments, st.integers(1, 200))
def test_nothing_is_open_before_the_next_opening(window: Window, at: datetime, part: int) -> None:
    opening = next_opening([window], at, device_zone=UTC)
    assert opening is not None
    between = at + (opening - at) * part / 201
    if between < opening:
        assert not is_open([window], between, device_zone=UTC)


@pytest.mark.parametrize(
    ("start", "end", "at", "opens"),
    [
        # 29 March, 2:00 becomes 3:00: the window begins in the hour that is left out, and ends after it.
        (time(2, 30), time(3, 30), datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)),
        (time(2, 15), time(1), datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)),
        # 25 October, 3:00 becomes 2:00: it ended at 2:30, and has half an hour once more.
        (time(1), time(2, 30), datetime(2026, 10, 25, 0, 45, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
        (time(2, 30), time(3, 30), datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ],
)
def test_a_change_of_the_clocks_makes_nobody_wait_for_a_week(
    start: time, end: time, at: datetime, opens: datetime
) -> None:
    sunday = Window(days=(7,), start=start, end=end, zone="Europe/Berlin")
    assert not is_open([sunday], at, device_zone=UTC)
    assert next_opening([sunday], at, device_zone=UTC) == opens


changes = st.sampled_from(
    [
        ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
        ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
        ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    ]
)


@given(changes, st.sets(st.integers(6, 7), min_size=1), st.integers(0, 16), st.integers(0, 24), st.integers(-24, 12))
def test_around_changes_of_the_clocks_a_window_is_found_to_the_minute(
    change: tuple[str, datetime], days: set[int], start: int, end: int, hours: int
) -> None:
    zone, moment = change
    window = Window(
        days=tuple(days), start=time(start // 4, start % 4 * 15), end=time(end // 4, end % 4 * 15), zone=zone
    )
    at = moment + timedelta(hours=hours)
    opening = next_opening([window], at, device_zone=UTC)
    quarters = (at + timedelta(minutes=15 * quarter) for quarter in range(15 * 96))
    assert opening == next(each for each in quarters if is_open([window], each, device_zone=UTC))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [({"days": ()}, "days"), ({"days": (8,)}, "days"), ({"zone": "Mars/Olympus"}, "zone"), ({"zone": "../x"}, "zone")],
)
def test_a_window_that_cannot_open_names_its_field(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(WindowInvalid, match=complaint):
        Window(**({"days": (1,), "start": time(1), "end": time(2)} | fields))  # type: ignore[arg-type]
