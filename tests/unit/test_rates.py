"""A campaign's own pace: never more than it says, whenever and however often somebody looks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import accumulate, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.pacing import CHARGE_PER_DEVICE, HORIZON_S, LONG_AGO, Budget, Load, reserve
from shared.domain.rates import (
    ConstantRate,
    ExponentialRate,
    Pace,
    Paced,
    batch_devices,
    next_free_at,
    per_minute,
    seconds_per_device,
)
from shared.wire.http_campaigns import read_campaign_request
from shared.wire.http_fields import InvalidRequest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GROWING = ExponentialRate(base_per_minute=4, factor=2, after_succeeded=10, maximum_per_minute=50)
MIB = 2**20


def budget(rate_per_s: float = 500.0, bandwidth_bytes_per_s: int | None = None) -> Budget:
    return Budget(
        rate_per_s=rate_per_s,
        ceiling_per_s=rate_per_s,
        next_free_at=LONG_AGO,
        adjusted_at=LONG_AGO,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
    )


@pytest.mark.parametrize(
    ("succeeded", "expected"), [(0, 4), (9, 4), (10, 8), (29, 16), (39, 32), (40, 50), (10**9, 50)]
)
def test_a_growing_rate_follows_the_successes_up_to_its_maximum(succeeded: int, expected: float) -> None:
    assert per_minute(GROWING, succeeded) == expected


@given(st.floats(0.01, 1000), st.floats(1, 100), st.integers(1, 1000), st.floats(1, 1000), st.integers(0, 10**9))
def test_a_growing_rate_is_never_below_its_base_nor_above_its_maximum(
    base: float, factor: float, after: int, times: float, succeeded: int
) -> None:
    rate = ExponentialRate(base_per_minute=base, factor=factor, after_succeeded=after, maximum_per_minute=base * times)
    found = per_minute(rate, succeeded)
    assert base <= found <= base * times
    assert per_minute(rate, succeeded + after) >= found


def test_the_slower_of_rate_and_bandwidth_holds() -> None:
    pace = Pace(rate=ConstantRate(devices_per_minute=30), bandwidth_bytes_per_s=MIB)
    assert seconds_per_device(pace, MIB, 0) == 2
    assert seconds_per_device(pace, 5 * MIB, 0) == 5
    assert seconds_per_device(Pace(), 5 * MIB, 0) == 0


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        (Pace(), 99),
        (Pace(rate=ConstantRate(devices_per_minute=10)), 10),
        (Pace(rate=ConstantRate(devices_per_minute=0.1)), 1),
        (Pace(rate=ConstantRate(devices_per_minute=5000)), 99),
        (Pace(rate=GROWING), 4),
        (Pace(bandwidth_bytes_per_s=MIB), 6),
    ],
)
def test_no_batch_holds_more_than_a_minutes_worth(pace: Pace, expected: int) -> None:
    assert batch_devices(pace, 10 * MIB) == expected


def looks() -> st.SearchStrategy[list[float]]:
    """Moments at which somebody asks for slots, in seconds from the beginning."""
    return st.lists(st.floats(0, 300), min_size=1, max_size=30).map(lambda gaps: list(accumulate(gaps)))


def offers_at(moments: list[float], sizes: list[int], rate: ConstantRate) -> list[tuple[datetime, int]]:
    """When batches of these sizes go out, if somebody looks at these moments."""
    pace, shared = Pace(rate=rate), budget()
    paced: Paced | None = None
    sent: list[tuple[datetime, int]] = []
    for moment in moments:
        device_s = seconds_per_device(pace, 0, 0)
        load = Load(device_s=device_s, free_at=next_free_at(paced, device_s))
        left = sizes[len(sent) :]
        got = reserve(shared, left, now=NOW + timedelta(seconds=moment), load=load)
        shared = got.budget
        sent += zip(got.times, left, strict=False)
        if got.times:
            paced = Paced(at=sent[-1][0], devices=sent[-1][1])
    return sent


@given(looks(), st.lists(st.integers(1, 30), min_size=1, max_size=40), st.floats(1, 600))
def test_no_window_ever_sees_more_than_the_rate_and_one_batch(
    moments: list[float], sizes: list[int], per_min: float
) -> None:
    sent = offers_at(moments, sizes, ConstantRate(devices_per_minute=per_min))
    for first, (begin, _) in enumerate(sent):
        devices = 0
        for at, size in sent[first:]:
            assert devices <= per_min * (at - begin).total_seconds() / 60 + 0.001
            devices += size


@given(looks(), st.lists(st.floats(0, 3000), max_size=20), st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_looking_more_often_never_makes_it_faster_than_the_rate_nor_slower_than_before(
    moments: list[float], more: list[float], sizes: list[int]
) -> None:
    rate = ConstantRate(devices_per_minute=20)
    seldom, often = (offers_at(times, sizes, rate) for times in (moments, sorted([*moments, *more])))
    assert len(often) >= len(seldom)
    assert all(at <= before for (at, _), (before, _) in zip(often, seldom, strict=False))


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(0, 50 * MIB)), min_size=2, max_size=4))
def test_the_order_in_which_campaigns_reserve_makes_no_difference_to_what_is_reserved(
    asked: list[tuple[int, int]],
) -> None:
    """Hub and bandwidth: whoever comes first, the row says the same afterwards."""
    ends = set()
    for order in permutations(asked):
        shared = budget(rate_per_s=5_000, bandwidth_bytes_per_s=10**12)
        for size, length in order:
            got = reserve(shared, [size], now=NOW, load=Load(length_bytes=length))
            assert got.times
            shared = got.budget
        ends.add((round(shared.next_free_at.timestamp(), 3), round(shared.wire_free_at.timestamp(), 3)))
    assert len(ends) == 1


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(1, 99), st.integers(0, MIB)), min_size=1, max_size=60))
def test_hub_and_bandwidth_are_never_promised_beyond_what_they_have(asked: list[tuple[float, int, int]]) -> None:
    """I6: over any window, at most the rate over it and the horizon, however packages differ; and one batch."""
    rate_per_s, bandwidth = 50.0, 5 * MIB
    shared, now = budget(rate_per_s, bandwidth), NOW
    given_out: list[tuple[datetime, int, int]] = []
    for wait_s, size, length in asked:
        now += timedelta(seconds=wait_s)
        got = reserve(shared, [size] * 3, now=now, load=Load(length_bytes=length))
        shared = got.budget
        given_out += [(at, size, length) for at in got.times]
    given_out.sort()
    for first, (begin, _, _) in enumerate(given_out):
        for last in range(first, len(given_out)):
            window_s = (given_out[last][0] - begin).total_seconds() + HORIZON_S
            inside = given_out[first : last + 1]
            biggest = max(size for _, size, _ in inside)
            assert sum(size for _, size, _ in inside) * CHARGE_PER_DEVICE <= (
                rate_per_s * window_s + biggest * CHARGE_PER_DEVICE + 0.1
            )
            assert sum(size * length for _, size, length in inside) <= (
                bandwidth * window_s + max(size * length for _, size, length in inside) + 100
            )


def test_a_heavy_package_leaves_the_hub_to_what_fetches_nothing() -> None:
    """What waits for bandwidth does not keep offers from being taken back."""
    shared = budget(50.0, MIB)
    heavy = reserve(shared, [10, 10], now=NOW, load=Load(length_bytes=MIB))
    assert heavy.times == (NOW, NOW + timedelta(seconds=10))
    light = reserve(heavy.budget, [10], now=NOW)
    assert light.times == (NOW + timedelta(seconds=2),)


REQUEST = {
    "name": "n",
    "package": {"name": "p", "version": "1"},
    "targets": {"devices": ["d"]},
}
GROWING_REQUEST = {"base_per_minute": 5, "factor": 1.5, "after_succeeded": 10, "maximum_per_minute": 100}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"rate": {}}, "rate: .*devices_per_minute"),
        ({"rate": {"devices_per_minute": 0}}, "rate.devices_per_minute"),
        ({"rate": {"devices_per_minute": 5, "factor": 2}}, "rate: give either"),
        ({"rate": {"base_per_minute": 5, "factor": 2}}, "rate: .*after_succeeded, maximum_per_minute"),
        ({"rate": GROWING_REQUEST | {"maximum_per_minute": 4}}, "maximum_per_minute is less"),
        ({"rate": GROWING_REQUEST | {"factor": 0.5}}, "rate.factor"),
        ({"bandwidth_bytes_per_s": 1023}, "bandwidth_bytes_per_s"),
        ({"bandwidth_bytes_per_s": 2048.5}, "bandwidth_bytes_per_s"),
    ],
)
def test_a_rate_that_cannot_be_is_refused_with_its_field(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        read_campaign_request(json.dumps(REQUEST | fields).encode())


def test_a_rate_that_can_be_is_what_the_campaign_gets() -> None:
    body = REQUEST | {"rate": GROWING_REQUEST, "bandwidth_bytes_per_s": 2000}
    expected = ExponentialRate(base_per_minute=5, factor=1.5, after_succeeded=10, maximum_per_minute=100)
    pace = read_campaign_request(json.dumps(body).encode()).to_spec().pace
    assert pace == Pace(rate=expected, bandwidth_bytes_per_s=2000)
