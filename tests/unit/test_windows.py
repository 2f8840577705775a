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
    if between < opening - timedelta(hours=1):
        assert not is_open([window], between, device_zone=UTC)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [({"days": ()}, "days"), ({"days": (8,)}, "days"), ({"zone": "Mars/Olympus"}, "zone"), ({"zone": "../x"}, "zone")],
)
def test_a_window_that_cannot_open_names_its_field(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(WindowInvalid, match=complaint):
        Window(**({"days": (1,), "start": time(1), "end": time(2)} | fields))  # type: ignore[arg-type]
