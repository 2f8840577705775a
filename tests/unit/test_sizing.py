"""The tables of sizes in docs/azure.md, and the hubs they choose."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from scripts.sizing import FLEETS, QUOTA_SHARE, hubs_for, plan
from scripts.write_sizing import ALERTS, PAGE, with_sizes, write_section
from shared.domain.forecast import HUB_MESSAGES_PER_DEVICE
from shared.domain.hub_sizes import TIER_LIMITS, HubLoad, HubSize, HubTier, fits, seconds_on, smallest_hub
from shared.domain.pacing import CHARGE_PER_DEVICE
from shared.domain.prices import Meter, PriceTable
from tests.support.dry_run_world import price_table

CHARGED = [HubTier.S1, HubTier.S2, HubTier.S3]


def load(devices: int, quota_share: float = QUOTA_SHARE) -> HubLoad:
    return HubLoad(
        devices=devices,
        twin_updates=devices * CHARGE_PER_DEVICE,
        messages=devices * HUB_MESSAGES_PER_DEVICE,
        quota_share=quota_share,
    )


def without(*meters: Meter) -> PriceTable:
    table = price_table()
    return replace(table, prices={meter: price for meter, price in table.prices.items() if meter not in meters})


def test_the_page_has_the_tables() -> None:
    """Mend it with ``python -m scripts.write_sizing``."""
    assert with_sizes(PAGE.read_text()) == PAGE.read_text()


@pytest.mark.parametrize("tier", CHARGED)
@pytest.mark.parametrize("devices", FLEETS)
def test_the_smallest_hub_fits_and_one_unit_less_does_not(devices: int, tier: HubTier) -> None:
    hub = smallest_hub(tier, load(devices))
    assert hub is not None
    assert fits(hub, load(devices))
    assert hub.units == 1 or not fits(replace(hub, units=hub.units - 1), load(devices))


def test_a_campaign_of_several_days_has_a_quota_each_day() -> None:
    """A million devices take 27.8 hours on S1: not all of the messages fall on one day."""
    million = load(1_000_000, quota_share=1)
    hub = smallest_hub(HubTier.S1, million)
    assert hub is not None
    assert seconds_on(hub, million) == 100_000
    assert hub.messages_per_day < million.messages
    assert hub.messages_per_day >= million.messages * 86_400 / 100_000


def test_units_make_s1_no_faster_and_s2_only_above_ten() -> None:
    assert {HubSize(tier=HubTier.S1, units=units).twin_updates_per_s for units in (1, 200)} == {50}
    assert [HubSize(tier=HubTier.S2, units=units).twin_updates_per_s for units in (1, 10, 11)] == [50, 50, 55]
    assert smallest_hub(HubTier.S1, load(1_000_000), within_s=8 * 3600) is None


def test_no_hub_takes_more_devices_than_a_hub_may_have() -> None:
    assert [smallest_hub(tier, load(TIER_LIMITS[tier].max_devices + 1)) for tier in CHARGED] == [None, None, None]


def test_a_fleet_that_needs_more_than_a_night_is_shown_a_hub_that_does_not() -> None:
    first, fast = hubs_for(1_000_000)
    assert seconds_on(first, load(1_000_000)) > 8 * 3600 >= seconds_on(fast, load(1_000_000))
    assert [len(list(hubs_for(devices))) for devices in FLEETS[:-1]] == [1, 1, 1]


def test_a_row_is_what_the_dry_run_says() -> None:
    hub = HubSize(tier=HubTier.S1, units=1)
    small, large = plan(10_000, 1, hub, price_table()), plan(10_000, 200, hub, price_table())
    assert small.ahead.duration_s == large.ahead.duration_s == 1_000
    assert [len(size.ahead.waves) for size in (small, large)] == [3, 3]
    assert (small.ahead.usage.hub_messages, small.ahead.usage.twin_writes) == (70_000, 10_000)
    assert large.ahead.usage.egress_bytes == 2 * 10**12
    assert large.cost.total > small.cost.total


def test_what_has_no_price_is_said_to_have_none() -> None:
    assert "| IoT Hub S3 × 1 | 250 | 300,000,000 | not known |" in write_section(price_table())
    poorer = write_section(without(Meter.IOT_HUB_S1_UNIT_MONTHS, Meter.EGRESS_GB))
    assert "| IoT Hub S1 × 1 | 50 | 400,000 | not known |" in poorer
    assert "`egress_gb`, `event_hubs_events`" in poorer
    assert "`egress_gb`" not in write_section(price_table())


def test_alerts_are_priced_by_how_often_they_look() -> None:
    rules = json.loads(ALERTS.read_text())["queries"]
    often = [rule for rule in rules if rule["every"] == "PT5M"]
    assert 0 < len(often) < len(rules)
    price = 1.5 * len(often) + 0.5 * (len(rules) - len(often))
    assert f"| {len(rules)} log search alerts | | | {price:.2f} USD |" in write_section(price_table())
    assert "log search alerts | | | not known |" in write_section(without(Meter.LOG_ALERT_15_MINUTES_MONTHS))


def test_a_bus_that_a_campaign_would_fill_is_not_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.sizing.BUS_CREDITS_PER_S", 5)
    with pytest.raises(ValueError, match="Service Bus Standard is too small"):
        write_section(price_table())
