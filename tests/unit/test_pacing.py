"""The budget hands out slots one after the other and follows the hub's answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.conflicts import MAX_PRIORITY
from shared.domain.pacing import (
    CHARGE_PER_DEVICE,
    HORIZON_S,
    SLOT_HOLDS_S,
    TAKE_BACK_LOAD,
    Budget,
    Load,
    is_slot_held,
    note_urgency,
    reserve,
    reserve_turn,
    slow_down,
    speed_up,
    yields_until,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)


def budget(rate_per_s: float = 50.0, next_free_at: datetime = LONG_AGO, adjusted_at: datetime = LONG_AGO) -> Budget:
    return Budget(rate_per_s=rate_per_s, ceiling_per_s=50.0, next_free_at=next_free_at, adjusted_at=adjusted_at)


@given(
    st.lists(st.integers(1, 99), max_size=50),
    st.floats(1, 5_000),
    st.integers(-600, 600).map(lambda seconds: NOW + timedelta(seconds=seconds)),
)
def test_slots_never_overlap_and_never_begin_beyond_the_horizon(
    sizes: list[int], rate_per_s: float, next_free_at: datetime
) -> None:
    """I6: work for a slot is done, at the budget's rate, before the next slot begins."""
    got = reserve(budget(rate_per_s, next_free_at), sizes, now=NOW)
    after, slots = got.budget, got.times
    ends = [*slots[1:], after.next_free_at]
    for size, begin, end in zip(sizes, slots, ends, strict=False):
        needed_s = size * CHARGE_PER_DEVICE / rate_per_s
        assert abs((end - begin).total_seconds() - needed_s) < 0.001
    assert all(NOW <= slot < NOW + timedelta(seconds=HORIZON_S) for slot in slots)
    assert all(first < second for first, second in pairwise(slots))
    assert len(slots) == len(sizes) or after.next_free_at >= NOW + timedelta(seconds=HORIZON_S)


def test_an_idle_budget_gives_no_credit_for_the_time_it_was_idle() -> None:
    got = reserve(budget(), [99, 99], now=NOW)
    assert got.times == (NOW, NOW + timedelta(seconds=9.9))


def test_a_budget_reserved_beyond_the_horizon_gives_nothing() -> None:
    taken = budget(next_free_at=NOW + timedelta(seconds=HORIZON_S))
    got = reserve(taken, [1], now=NOW)
    assert (got.budget, got.times) == (taken, ())


def test_a_refusal_halves_the_rate_down_to_a_twentieth() -> None:
    now, found = NOW, budget()
    for expected in (25.0, 12.5, 6.25, 3.125, 2.5, 2.5):
        found = slow_down(found, now=now)
        assert found.rate_per_s == expected
        now += timedelta(seconds=10)


def test_success_raises_the_rate_by_a_tenth_of_the_ceiling_up_to_it() -> None:
    found = speed_up(budget(43.0), now=NOW)
    assert found.rate_per_s == 48.0
    assert speed_up(found, now=NOW + timedelta(seconds=10)).rate_per_s == 50.0


def test_the_rate_moves_at_most_once_in_ten_seconds() -> None:
    found = slow_down(budget(), now=NOW)
    assert slow_down(found, now=NOW + timedelta(seconds=9.9)) == found
    assert speed_up(found, now=NOW + timedelta(seconds=9.9)) == found


def test_a_slot_lapses_when_its_time_is_long_over() -> None:
    assert is_slot_held(NOW, now=NOW - timedelta(hours=1)), "a clock that is behind"
    assert is_slot_held(NOW, now=NOW + timedelta(seconds=SLOT_HOLDS_S - 0.1))
    assert not is_slot_held(NOW, now=NOW + timedelta(seconds=SLOT_HOLDS_S))
    assert not is_slot_held(None, now=NOW)


def test_offers_that_are_taken_back_cost_one_update_each() -> None:
    got = reserve(budget(), [50, 50], now=NOW, load=TAKE_BACK_LOAD)
    assert got.times == (NOW, NOW + timedelta(seconds=1))
    assert got.budget.next_free_at == NOW + timedelta(seconds=2)


@given(st.integers(1, 99), st.floats(1, 5_000), st.integers(-600, 6_000))
def test_a_turn_is_always_given_and_charged(size: int, rate_per_s: float, ahead_s: int) -> None:
    """However full the hub is: what is taken back waits for its turn and never in vain."""
    before = budget(rate_per_s, NOW + timedelta(seconds=ahead_s))
    after, begins = reserve_turn(before, size, now=NOW)
    assert begins == max(NOW, before.next_free_at)
    assert abs((after.next_free_at - begins).total_seconds() - size / rate_per_s) < 0.001


def test_campaigns_of_every_priority_leave_the_hub_to_offers_that_are_taken_back() -> None:
    full = budget(next_free_at=NOW + timedelta(seconds=90))
    noted = note_urgency(full, TAKE_BACK_LOAD.priority, NOW + timedelta(seconds=60), now=NOW)
    assert yields_until(noted, Load(priority=MAX_PRIORITY).priority, now=NOW) is not None
    assert yields_until(noted, TAKE_BACK_LOAD.priority, now=NOW) is None
    over = note_urgency(noted, TAKE_BACK_LOAD.priority, None, now=NOW)
    assert yields_until(over, 0, now=NOW) is None
