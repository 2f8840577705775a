"""What to think about before a campaign starts, where its money goes."""

from __future__ import annotations

from collections.abc import Iterator

from shared.domain.plan_facts import PlanWarning
from shared.domain.prices import Cost, Meter
from shared.domain.telemetry_volume import FREE_GB


def find_cost_warnings(cost: Cost) -> Iterator[PlanWarning]:
    """Telemetry that is the dearest of all, once a month's allowance does not cover it."""
    if not cost.lines or (dearest := cost.lines[0]).price.meter is not Meter.LOG_ANALYTICS_GB:
        return
    if dearest.quantity > FREE_GB:
        message = (
            f"telemetry may be the dearest part: up to {dearest.quantity:.0f} GB, {dearest.amount:.0f} of "
            f"{cost.total:.0f} {cost.currency}; most of it are the host's own lines, and how to leave them out is in "
            "docs/monitoring.md"
        )
        yield PlanWarning(code="dear_telemetry", field="targets", message=message)
