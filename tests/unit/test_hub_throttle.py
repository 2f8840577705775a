"""Throttles and quota, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from emulator.hub import Code, HubConfig, HubError, Tier
from emulator.hub.throttle import TABLE, Operation, Throttle


@dataclass
class Time:
    """A clock that stands until it is moved."""

    now_s: float = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now_s)


def throttle_of(time: Time, **settings: object) -> Throttle:
    config = HubConfig(**({"throttles": "on", "burst_s": 1.0} | settings))  # type: ignore[arg-type]
    return Throttle(config, clock=time.utc, monotonic_s=time.monotonic_s)


def admitted(throttle: Throttle, operation: Operation, attempts: int, count: int = 1) -> int:
    """How many of the attempts are let through."""
    passed = 0
    for _ in range(attempts):
        try:
            throttle.admit(operation, count)
        except HubError as error:
            assert error.code is Code.THROTTLED
        else:
            passed += 1
    return passed


@pytest.mark.parametrize(
    ("tier", "units", "per_second"),
    [("S1", 1, 50), ("S1", 200, 50), ("S2", 1, 50), ("S2", 20, 100), ("S3", 1, 250), ("S3", 10, 2500), ("F1", 1, 50)],
)
def test_twin_updates_follow_the_documented_table(tier: str, units: int, per_second: int) -> None:
    time = Time()
    throttle = throttle_of(time, tier=tier, units=units)
    assert admitted(throttle, Operation.TWIN_UPDATE, 2 * per_second + 10) == per_second
    time.now_s += 0.5
    assert admitted(throttle, Operation.TWIN_UPDATE, 2 * per_second) == per_second // 2
    assert throttle.refused[Operation.TWIN_UPDATE] > 0


def test_queries_of_a_minute_may_come_at_once() -> None:
    time = Time()
    throttle = throttle_of(time)
    assert admitted(throttle, Operation.QUERY, 30) == 20
    time.now_s += 3
    assert admitted(throttle, Operation.QUERY, 30) == 1


def test_over_a_long_time_bulk_calls_get_no_more_than_the_rate() -> None:
    time = Time()
    throttle = throttle_of(time, burst_s=2.0)
    passed = 0
    for _ in range(1000):
        time.now_s += 0.1
        passed += admitted(throttle, Operation.TWIN_UPDATE, 1, count=100) * 100
    assert 100 * 50 * 0.9 < passed <= 100 * 50 + 200


def test_every_tier_has_every_line() -> None:
    assert {tier: set(lines) for tier, lines in TABLE.items()} == {tier: set(Operation) for tier in Tier}


def test_throttles_can_be_switched_while_running() -> None:
    throttle = throttle_of(Time(), throttles="off")
    assert admitted(throttle, Operation.TWIN_UPDATE, 100) == 100
    throttle.set("on")
    assert admitted(throttle, Operation.TWIN_UPDATE, 100) == 50
    throttle.resize(HubConfig(tier="S3", burst_s=1))
    assert admitted(throttle, Operation.TWIN_UPDATE, 300) == 250
    with pytest.raises(ValueError, match="perhaps"):
        throttle.set("perhaps")


def test_quota_counts_steps_of_four_kilobytes_and_ends_at_midnight() -> None:
    time = Time()
    throttle = throttle_of(time, daily_messages=4)
    throttle.meter(4096)
    throttle.meter(4097)
    throttle.meter()
    with pytest.raises(HubError) as refusal:
        throttle.meter()
    assert refusal.value.code is Code.QUOTA_EXCEEDED
    assert throttle.messages_today == 4
    time.now_s += 86_400
    throttle.meter()
    assert throttle.messages_today == 1
