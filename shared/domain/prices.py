"""What a campaign costs: quantities by meter, times a price table that says of what day it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum


class Meter(StrEnum):
    """What Azure bills. The values are the words of ``prices.toml``."""

    EGRESS_GB = "egress_gb"
    SERVICE_BUS_OPERATIONS = "service_bus_operations"
    EVENT_GRID_OPERATIONS = "event_grid_operations"
    EVENT_HUBS_EVENTS = "event_hubs_events"
    TABLE_TRANSACTIONS = "table_transactions"
    BLOB_READS = "blob_reads"
    SIGNATURES = "signatures"
    FUNCTION_EXECUTIONS = "function_executions"
    FUNCTION_GB_SECONDS = "function_gb_seconds"
    LOG_ANALYTICS_GB = "log_analytics_gb"
    IOT_HUB_S1_UNIT_MONTHS = "iot_hub_s1_unit_months"
    IOT_HUB_S2_UNIT_MONTHS = "iot_hub_s2_unit_months"
    IOT_HUB_S3_UNIT_MONTHS = "iot_hub_s3_unit_months"
    SERVICE_BUS_STANDARD_MONTHS = "service_bus_standard_months"
    SERVICE_BUS_PREMIUM_UNIT_MONTHS = "service_bus_premium_unit_months"
    LOG_ALERT_5_MINUTES_MONTHS = "log_alert_5_minutes_months"
    LOG_ALERT_15_MINUTES_MONTHS = "log_alert_15_minutes_months"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """``amount`` of the table's currency buys ``per`` units of the meter.

    Attributes:
        source: Where the figure was found.
        as_of: When it was found there.
    """

    meter: Meter
    amount: Decimal
    per: int
    source: str
    as_of: date


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """Prices of one currency; a meter that is missing has no known price."""

    currency: str
    as_of: date
    prices: Mapping[Meter, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """What one meter comes to."""

    quantity: Decimal
    price: Price

    @property
    def amount(self) -> Decimal:
        """In the table's currency."""
        return self.quantity * self.price.amount / self.price.per


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What all of it comes to.

    Attributes:
        unpriced: Meters that are used, or whose use is not known, and that the table has no price for: the total
            leaves them out.
    """

    currency: str
    as_of: date
    lines: tuple[CostLine, ...]
    unpriced: tuple[Meter, ...]

    @property
    def total(self) -> Decimal:
        """The sum of the lines."""
        return sum((line.amount for line in self.lines), Decimal(0))


def reckon(quantities: Mapping[Meter, Decimal | None], table: PriceTable) -> Cost:
    """The cost of these quantities, the dearest line first.

    Args:
        quantities: None for a meter that is used nobody knows how much of.
    """
    known = {meter: quantity for meter, quantity in quantities.items() if quantity is not None}
    lines = [CostLine(quantity=known[meter], price=table.prices[meter]) for meter in known if meter in table.prices]
    return Cost(
        currency=table.currency,
        as_of=table.as_of,
        lines=tuple(sorted(lines, key=lambda line: line.amount, reverse=True)),
        unpriced=tuple(meter for meter in quantities if quantities[meter] is None or meter not in table.prices),
    )
