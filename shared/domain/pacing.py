"""Pacing: all campaigns share what the hub's twin-update throttle leaves, through one row that says when it is free.

The row is a token bucket kept as a point in time: reserving work moves ``next_free_at`` forward by the time the hub
needs for it. A 429 lowers the rate for everybody and success raises it, at most once in ten seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

REPORTS_PER_DEVICE = 4
"""Transitions a device reports by default; its reported patches share the throttle with our writes."""

CHARGE_PER_DEVICE = 1 + REPORTS_PER_DEVICE
HORIZON_S = 60.0
ADJUST_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The row.

    Attributes:
        rate_per_s: Twin updates per second that may be planned now.
        ceiling_per_s: What the hub's tier allows.
        next_free_at: From when on nothing is reserved yet.
        adjusted_at: When the rate last moved.
    """

    rate_per_s: float
    ceiling_per_s: float
    next_free_at: datetime
    adjusted_at: datetime


def reserve(budget: Budget, batch_sizes: list[int], *, now: datetime) -> tuple[Budget, list[datetime]]:
    """Slots for as many of the batches, in order, as begin within the next 60 seconds.

    Returns:
        The budget after the reservation, and one start time per batch that got a slot.
    """
    free = max(budget.next_free_at, now)
    horizon = now + timedelta(seconds=HORIZON_S)
    slots: list[datetime] = []
    for size in batch_sizes:
        if free >= horizon:
            break
        slots.append(free)
        free += timedelta(seconds=size * CHARGE_PER_DEVICE / budget.rate_per_s)
    return replace(budget, next_free_at=free), slots


def slow_down(budget: Budget, *, now: datetime) -> Budget:
    """The budget after a 429: half the rate, not below a twentieth of the ceiling."""
    if not _may_adjust(budget, now):
        return budget
    return replace(budget, rate_per_s=max(budget.rate_per_s / 2, budget.ceiling_per_s / 20), adjusted_at=now)


def speed_up(budget: Budget, *, now: datetime) -> Budget:
    """The budget after a batch without a 429: a tenth of the ceiling more, not above it."""
    if budget.rate_per_s >= budget.ceiling_per_s or not _may_adjust(budget, now):
        return budget
    return replace(
        budget, rate_per_s=min(budget.rate_per_s + budget.ceiling_per_s / 10, budget.ceiling_per_s), adjusted_at=now
    )


def _may_adjust(budget: Budget, now: datetime) -> bool:
    return now - budget.adjusted_at >= timedelta(seconds=ADJUST_EVERY_S)
