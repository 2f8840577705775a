"""Writes the tables of sizes in docs/azure.md: ``.venv/bin/python -m scripts.write_sizing``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from scripts.sizing import FLEETS, PACKAGES_MB, Size, hubs_for, plan
from shared.domain.hub_sizes import HubSize, HubTier
from shared.domain.prices import Meter, PriceTable, reckon
from shared.domain.telemetry_volume import FREE_GB
from shared.wire.price_file import read_price_file

ROOT = Path(__file__).parents[1]
PAGE, PRICES, ALERTS = ROOT / "docs/azure.md", ROOT / "prices.toml", ROOT / "infra/alerts.json"
BEGIN, END = "<!-- sizes: written by scripts/write_sizing.py -->\n", "<!-- end of sizes -->\n"

BUS_SHARE = 0.5
"""A campaign that took more of a Standard namespace would be in its own way."""

HUB_METERS = {
    HubTier.S1: Meter.IOT_HUB_S1_UNIT_MONTHS,
    HubTier.S2: Meter.IOT_HUB_S2_UNIT_MONTHS,
    HubTier.S3: Meter.IOT_HUB_S3_UNIT_MONTHS,
}
BUS_METERS = {
    "Standard": Meter.SERVICE_BUS_STANDARD_MONTHS,
    "Premium, one messaging unit": Meter.SERVICE_BUS_PREMIUM_UNIT_MONTHS,
}


def with_sizes(page: str) -> str:
    """The page with the tables between their marks."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + write_section(read_price_file(PRICES.read_bytes())) + END + rest.split(END)[1]


def write_section(prices: PriceTable) -> str:
    """What stands between the marks."""
    rows = [
        [plan(devices, package_mb, hub, prices) for package_mb in PACKAGES_MB]
        for devices in FLEETS
        for hub in hubs_for(devices)
    ]
    return "\n".join([*_campaigns(rows), "", *_notes(rows, prices), "", *_months(rows, prices)]) + "\n"


def _campaigns(rows: Sequence[Sequence[Size]]) -> Iterator[str]:
    packages = " | ".join(f"package of {package_mb} MB" for package_mb in PACKAGES_MB)
    yield f"| devices | hub | takes at least | hub messages | Service Bus | telemetry | {packages} |"
    yield f"|---|---|---|---|---|---|{'---|' * len(PACKAGES_MB)}"
    for row in rows:
        first = row[0]
        cells = [
            f"{first.devices:,}",
            write_hub(first.hub),
            write_time(first.ahead.duration_s),
            f"{first.ahead.usage.hub_messages:,}",
            _bus(first),
            _telemetry(first),
            *map(_campaign, row),
        ]
        yield f"| {' | '.join(cells)} |"


def _bus(size: Size) -> str:
    if size.bus_share > BUS_SHARE:
        raise ValueError(f"Service Bus Standard is too small for {size.devices} devices on {write_hub(size.hub)}")
    return f"Standard, {size.bus_share:.1%} of it"


def _telemetry(size: Size) -> str:
    line = next((line for line in size.cost.lines if line.price.meter is Meter.LOG_ANALYTICS_GB), None)
    money = "" if line is None else f", {write_money(line.amount, size.cost.currency)}"
    return f"≤ {write_bytes(size.ahead.usage.telemetry_bytes)}{money}"


def _campaign(size: Size) -> str:
    fetched = size.ahead.usage.egress_bytes
    rate = f"{write_bytes(fetched / size.ahead.duration_s)}/s"
    return f"≈ {write_money(size.cost.total, size.cost.currency)}; {write_bytes(fetched)} at {rate}"


def _notes(rows: Sequence[Sequence[Size]], prices: PriceTable) -> Iterator[str]:
    unpriced = sorted({f"`{meter}`" for row in rows for size in row for meter in size.cost.unpriced})
    yield f"Prices are those of `prices.toml` ({prices.as_of}), which names where each was found. Dry runs use the same"
    yield "file: put your contract's prices there. **Left out of the sums, as price or amount is not known:**"
    yield f"{', '.join(unpriced)}. Telemetry is in them, as if nothing were sampled, and before the {FREE_GB} GB"
    yield "a month that are free; [much of it can be left out](monitoring.md#what-telemetry-costs). By the month:"


def _months(rows: Sequence[Sequence[Size]], prices: PriceTable) -> Iterator[str]:
    yield "| by the month | twin updates a second | messages a day | price |"
    yield "|---|---|---|---|"
    for hub in sorted({row[0].hub for row in rows}, key=lambda hub: (hub.tier, hub.units)):
        price = _price(prices, HUB_METERS[hub.tier], hub.units)
        yield f"| IoT Hub {write_hub(hub)} | {hub.twin_updates_per_s:g} | {hub.messages_per_day:,} | {price} |"
    for name, meter in BUS_METERS.items():
        yield f"| Service Bus {name} | | | {_price(prices, meter, 1)} |"
    yield "| Event Hubs Standard, one throughput unit | | | not known |"
    rules = json.loads(ALERTS.read_text())["queries"]
    yield f"| {len(rules)} log search alerts | | | {_alerts(rules, prices)} |"


def _alerts(rules: Sequence[Mapping[str, str]], prices: PriceTable) -> str:
    often = sum(rule["every"] == "PT5M" for rule in rules)
    quantities = {
        Meter.LOG_ALERT_5_MINUTES_MONTHS: Decimal(often),
        Meter.LOG_ALERT_15_MINUTES_MONTHS: Decimal(len(rules) - often),
    }
    cost = reckon(quantities, prices)
    return "not known" if cost.unpriced else write_money(cost.total, cost.currency)


def _price(prices: PriceTable, meter: Meter, quantity: int) -> str:
    cost = reckon({meter: Decimal(quantity)}, prices)
    return "not known" if cost.unpriced else write_money(cost.total, cost.currency)


def write_hub(hub: HubSize) -> str:
    """Tier and units."""
    return f"{hub.tier} × {hub.units}"


def write_money(amount: Decimal, currency: str) -> str:
    """Cents only where they matter."""
    return f"{amount:,.2f} {currency}" if amount < 100 else f"{amount:,.0f} {currency}"


def write_time(seconds: float) -> str:
    """In the largest unit of which there is one."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def write_bytes(size_bytes: float) -> str:
    """In decimal units, as traffic is billed."""
    for size, unit in ((10**12, "TB"), (10**9, "GB")):
        if size_bytes >= size:
            return f"{size_bytes / size:.3g} {unit}"
    return f"{size_bytes / 10**6:.3g} MB"


if __name__ == "__main__":
    PAGE.write_text(with_sizes(PAGE.read_text()))
