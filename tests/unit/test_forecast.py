"""What a campaign will take, from stated inputs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import Decimal

import pytest

from shared.domain.errors import DomainError
from shared.domain.forecast import ForecastInputs, HubRoom, WaveLoad, forecast
from shared.domain.forecast_retries import forecast_retries
from shared.domain.pacing import CHARGE_PER_DEVICE
from shared.domain.prices import Meter, reckon
from shared.domain.rates import ConstantRate, ExponentialRate, Pace
from shared.domain.retries import Retries
from shared.domain.window_waits import earliest_opening, longest_wait_s
from shared.domain.windows import Window
from shared.wire.price_file import read_price_file
from tests.support.dry_run_world import price_table

MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
S1 = HubRoom(rate_per_s=50, ceiling_per_s=50, messages_per_day=400_000)
NIGHT = Window(days=(1, 2, 3, 4, 5, 6, 7), start=time(22), end=time(4), zone="UTC")
FRIDAY = Window(days=(5,), start=time(22), end=time(4), zone="Europe/Berlin")


def load(number: int, devices: int, **changes: float) -> WaveLoad:
    return replace(WaveLoad(number=number, name=f"w{number}", devices=devices, offers=devices), **changes)  # type: ignore[arg-type]


INPUTS = ForecastInputs(waves=[load(1, 100), load(2, 9_900)], hub=S1, package_bytes=50_000_000, begins_at=MONDAY)


def test_the_hub_takes_five_updates_a_device() -> None:
    ahead = forecast(INPUTS)
    assert [wave.dispatch_s for wave in ahead.waves] == [10, 990]
    assert ahead.duration_s == 1_000
    assert ahead.usage.twin_writes == 10_000
    assert ahead.usage.hub_messages == 70_000
    assert ahead.usage.egress_bytes == 500_000_000_000


def test_several_packages_are_signed_for_by_themselves_and_fetched_by_their_shares() -> None:
    """Time is reckoned with the largest; a batch cannot hold more packages than devices."""
    one, ahead = forecast(INPUTS), forecast(replace(INPUTS, variants=3, mean_bytes=20_000_000.0))
    assert ahead.usage.egress_bytes == 200_000_000_000
    assert ahead.usage.signatures == 3 * one.usage.signatures
    assert (ahead.duration_s, ahead.usage.twin_writes) == (one.duration_s, one.usage.twin_writes)
    few = replace(INPUTS, waves=[load(1, 2)], variants=8)
    assert forecast(few).usage.signatures == 2


def test_a_wave_starts_when_the_one_before_it_has_soaked_and_others_are_served() -> None:
    waves = [load(1, 100, soak_s=600), load(2, 0, soak_s=600), load(3, 50)]
    ahead = forecast(replace(INPUTS, waves=waves, hub=replace(S1, backlog_s=30)))
    assert [wave.starts_after_s for wave in ahead.waves] == [30, 640, 640]
    assert ahead.duration_s == 645


def test_a_wave_waits_for_its_window_once_its_offers_are_out() -> None:
    ahead = forecast(replace(INPUTS, windows=[NIGHT]))
    first, second = ahead.waves
    assert first.window_wait_s == 10 * 3600 - 10
    assert second.starts_after_s == 10 * 3600
    assert second.window_wait_s == 0


def test_devices_without_an_offer_take_time_but_nothing_else() -> None:
    ahead = forecast(replace(INPUTS, waves=[load(1, 100, offers=40)]))
    assert (ahead.duration_s, ahead.usage.twin_writes, ahead.usage.device_reports) == (10, 40, 160)


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [
        (Pace(rate=ConstantRate(devices_per_minute=60)), 1_000),
        (Pace(rate=ConstantRate(devices_per_minute=6_000)), 100),
        (Pace(bandwidth_bytes_per_s=100_000_000), 500),
        # 100 devices at 1 a second, 100 at 2, 100 at 4, the rest at 8.
        (
            Pace(rate=ExponentialRate(base_per_minute=60, factor=2, after_succeeded=100, maximum_per_minute=480)),
            100 + 50 + 25 + 700 / 8,
        ),
    ],
)
def test_a_campaigns_own_pace_bounds_it_where_it_is_slower_than_the_hub(pace: Pace, seconds: float) -> None:
    assert forecast(replace(INPUTS, waves=[load(1, 1_000)], pace=pace)).duration_s == pytest.approx(seconds)
    halves = forecast(replace(INPUTS, waves=[load(1, 500), load(2, 500)], pace=pace))
    assert halves.duration_s == pytest.approx(seconds)


def test_the_fleets_bandwidth_bounds_it_where_it_is_slower_than_the_hub() -> None:
    """50 MB a device: at 100 MB/s half a second, at 1 GB/s less than the hub needs."""
    for bandwidth, seconds in ((100_000_000, 5_000), (1_000_000_000, 1_000)):
        ahead = forecast(replace(INPUTS, hub=replace(S1, bandwidth_bytes_per_s=bandwidth)))
        assert ahead.duration_s == pytest.approx(seconds)


def test_dispatch_keeps_the_numbers_that_the_design_promises() -> None:
    """DESIGN, numbers to hold: at most 11 queue messages and 11 signatures per 1,000 devices for dispatch."""
    assert forecast(replace(INPUTS, waves=[load(1, 1_000)])).usage.signatures == 11


def test_further_attempts_are_a_sum_over_the_attempts_that_fail() -> None:
    """5 % of 10,000 fail at first, 5 % of those again, and 5 % of those once more: 526.25 offers."""
    usage = forecast(INPUTS).usage
    policy = Retries(maximum=3, backoff_s=300, factor=2, longest_s=1_000, jitter=0.2)
    found = forecast_retries(policy, usage, INPUTS)
    assert found is not None
    assert (found.assumed_failure_percent, found.offers) == (5, 527)
    assert (found.hub_messages, found.egress_bytes) == (7 * 527, 527 * 50_000_000)
    assert found.longest_s == pytest.approx((300 + 600 + 1_000) * 1.2)
    assert found.dispatch_s == pytest.approx(527 * CHARGE_PER_DEVICE / INPUTS.hub.rate_per_s)
    assert forecast_retries(Retries(), usage, INPUTS) is None


def test_further_attempts_take_slots_at_the_rate_that_the_campaign_has_grown_to() -> None:
    rate = ExponentialRate(base_per_minute=1, factor=2, after_succeeded=10, maximum_per_minute=60)
    inputs = replace(INPUTS, pace=Pace(rate=rate))
    found = forecast_retries(Retries(maximum=1), forecast(inputs).usage, inputs)
    assert found is not None
    assert found.dispatch_s == pytest.approx(found.offers)


def test_a_window_in_the_devices_own_zone_is_open_somewhere() -> None:
    own = replace(NIGHT, zone="device")
    assert earliest_opening([own], MONDAY) == MONDAY
    assert earliest_opening([NIGHT], MONDAY) == datetime(2026, 1, 5, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("windows", "hours"),
    [([], 0), ([NIGHT], 18), ([FRIDAY], 162), ([FRIDAY, NIGHT], 18), ([replace(NIGHT, end=time(22))], 0)],
)
def test_the_longest_wait_is_from_a_closing_to_the_next_opening(windows: list[Window], hours: float) -> None:
    assert longest_wait_s(windows, MONDAY) == hours * 3600


def test_the_cost_is_quantity_times_price_and_names_what_it_leaves_out() -> None:
    table = price_table()
    cost = reckon(forecast(INPUTS).usage.by_meter(), table)
    egress = next(line for line in cost.lines if line.price.meter is Meter.EGRESS_GB)
    assert egress.quantity == 500
    assert egress.amount == 500 * table.prices[Meter.EGRESS_GB].amount
    assert cost.lines[0] == egress
    assert cost.total == sum(line.amount for line in cost.lines)
    assert set(cost.unpriced) == {Meter.EVENT_HUBS_EVENTS, Meter.FUNCTION_GB_SECONDS}


def test_every_shipped_price_says_where_it_was_found_and_when() -> None:
    for price in price_table().prices.values():
        assert price.source
        assert price.as_of <= price_table().as_of
    assert Meter.IOT_HUB_S3_UNIT_MONTHS not in price_table().prices


def test_no_price_at_all_is_no_cost_and_everything_unpriced() -> None:
    cost = reckon({Meter.EGRESS_GB: Decimal(3)}, read_price_file(b'currency = "EUR"\nas_of = 2026-01-01'))
    assert (cost.total, cost.unpriced) == (0, (Meter.EGRESS_GB,))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "currency: Field required"),
        ("currency = ", "Invalid value"),
        ('currency = "USD"\nas_of = 2026-01-01\n[[price]]\nmeter = "gold"', "price.0.meter"),
        (
            'currency = "USD"\nas_of = 2026-01-01\n'
            + '[[price]]\nmeter = "egress_gb"\namount = "1"\nper = 1\nsource = "x"\nas_of = 2026-01-01\n' * 2,
            "a meter has two prices",
        ),
    ],
)
def test_a_price_file_that_cannot_be_used_says_why(text: str, complaint: str) -> None:
    with pytest.raises(DomainError, match=complaint):
        read_price_file(text.encode())
