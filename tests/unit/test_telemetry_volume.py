"""What a campaign's telemetry comes to, and when that is worth a thought."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from scripts.sizing import plan
from shared.domain.cost_warnings import find_cost_warnings
from shared.domain.forecast import METADATA_FETCHES
from shared.domain.hub_sizes import HubSize, HubTier
from shared.domain.pacing import REPORTS_PER_DEVICE
from shared.domain.prices import Meter, reckon
from shared.domain.telemetry_volume import (
    BILLED_SHARE,
    FREE_GB,
    HOST_RECORDS,
    RECORD_BYTES,
    SPAN_BYTES,
    telemetry_rows,
)
from tests.support.bicep import ROOT
from tests.support.dry_run_world import price_table

S1 = HubSize(tier=HubTier.S1, units=1)
PAGE = (ROOT / "docs/monitoring.md").read_text().split("### What telemetry costs")[1].split("\n## ")[0]


def test_each_execution_sends_a_span_and_a_request_and_is_told_of_by_the_host() -> None:
    rows = telemetry_rows(executions=10, reports=0, batches=0)
    assert (rows.spans, rows.requests, rows.host_records, rows.records) == (10, 10, 20, 0)
    assert rows.all == 40
    assert rows.billed_bytes == round((20 * SPAN_BYTES + 20 * RECORD_BYTES) * BILLED_SHARE)


def test_a_report_is_told_of_where_it_is_relayed_and_where_it_is_folded() -> None:
    assert telemetry_rows(executions=8, reports=4, batches=0).records == 8


def test_nothing_done_is_nothing_sent() -> None:
    rows = telemetry_rows(executions=0, reports=0, batches=0)
    assert (rows.all, rows.billed_bytes) == (0, 0)


def test_a_dry_run_counts_it_for_every_device_and_prices_it() -> None:
    few, many = (plan(devices, 20, S1, price_table()) for devices in (1_000, 10_000))
    assert many.ahead.usage.telemetry_bytes == pytest.approx(10 * few.ahead.usage.telemetry_bytes, rel=0.02)
    assert many.ahead.usage.telemetry_rows == pytest.approx(10 * few.ahead.usage.telemetry_rows, rel=0.02)
    [line] = [line for line in many.cost.lines if line.price.meter is Meter.LOG_ANALYTICS_GB]
    assert line.quantity == Decimal(many.ahead.usage.telemetry_bytes) / 10**9
    assert line.amount == line.quantity * price_table().prices[Meter.LOG_ANALYTICS_GB].amount
    assert line.price.source


def test_without_a_price_it_is_named_and_left_out() -> None:
    table = price_table()
    poorer = replace(table, prices={meter: one for meter, one in table.prices.items() if meter != "log_analytics_gb"})
    size = plan(1_000_000, 1, S1, poorer)
    assert Meter.LOG_ANALYTICS_GB in size.cost.unpriced
    assert list(find_cost_warnings(size.cost)) == []


def test_it_is_warned_of_where_it_is_the_dearest_part_and_not_free() -> None:
    [warning] = find_cost_warnings(plan(1_000_000, 1, S1, price_table()).cost)
    assert (warning.code, warning.field) == ("dear_telemetry", "targets")
    assert re.search(r"up to 44 GB, 131 of 232 USD", warning.message)


@pytest.mark.parametrize(
    ("devices", "package_mb"),
    [
        # Dearest of all, and within the free allowance.
        (10_000, 1),
        # A hundred times dearer to deliver.
        (1_000_000, 200),
    ],
)
def test_it_is_not_warned_of_where_it_is_free_or_others_are_dearer(devices: int, package_mb: int) -> None:
    assert list(find_cost_warnings(plan(devices, package_mb, S1, price_table()).cost)) == []


@pytest.mark.parametrize(("gigabytes", "warns"), [(FREE_GB, False), (FREE_GB + 1, True)])
def test_the_allowance_is_the_bound(gigabytes: int, warns: bool) -> None:
    cost = reckon({Meter.LOG_ANALYTICS_GB: Decimal(gigabytes), Meter.EGRESS_GB: Decimal(1)}, price_table())
    assert bool(list(find_cost_warnings(cost))) is warns


def test_nothing_priced_is_nothing_to_warn_of() -> None:
    assert list(find_cost_warnings(reckon({}, price_table()))) == []


def test_the_page_says_what_the_code_reckons_with() -> None:
    fetches, reports = METADATA_FETCHES + 1, 2 * REPORTS_PER_DEVICE
    assert (
        f"| index and ticket | {fetches} | {fetches} spans | {fetches} requests, {fetches * HOST_RECORDS} records |"
        in PAGE
    )
    assert (
        f"| {reports} | {reports} spans, {reports} records | {reports} requests, {reports * HOST_RECORDS} records |"
    ) in PAGE
    device = telemetry_rows(executions=fetches + reports, reports=REPORTS_PER_DEVICE, batches=0)
    ours = (device.spans * SPAN_BYTES + device.records * RECORD_BYTES) * BILLED_SHARE
    assert f"| {ours / 1000:.0f} kB | {(device.billed_bytes - ours) / 1000:.0f} kB |" in PAGE
    assert f"{SPAN_BYTES} bytes of JSON a span, {RECORD_BYTES} a record" in PAGE
    assert f"{FREE_GB} GB a month that are free" in PAGE
