"""Pacing: all campaigns share what the hub's twin-update throttle leaves, through one row that says when it is free.

The row is a token bucket kept as a point in time: reserving work moves ``next_free_at`` forward by the time the hub
needs for it. A 429 lowers the rate for everybody and success raises it, at most once in ten seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.domain.conflicts import MAX_PRIORITY

REPORTS_PER_DEVICE = 4
"""Transitions a device reports by default; its reported patches share the throttle with our writes."""

CHARGE_PER_DEVICE = 1 + REPORTS_PER_DEVICE
HORIZON_S = 60.0
SLOT_HOLDS_S = 30.0
"""A slot that is not used within so many seconds has lapsed: its time was for others. Longer than a message takes from
its queue to a function, or what is always late would ask for ever; shorter than an outage, or what an outage held up
would go out all at once."""
ADJUST_EVERY_S = 10.0
URGENT_GRACE_S = 5.0
"""A step may come this much after its time before those that yield take the slots."""
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""Free since then: what has never been used owes nothing and may be adjusted at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The row.

    Attributes:
        rate_per_s: Twin updates per second that may be planned now.
        ceiling_per_s: What the hub's tier allows.
        next_free_at: From when on nothing is reserved yet.
        adjusted_at: When the rate last moved.
        bandwidth_bytes_per_s: What all devices together may fetch; None: no bound.
        wire_free_at: From when on nothing of the bandwidth is reserved yet.
        urgent_priority: Of a campaign that the hub had no room left for; those below it get no slots.
        urgent_until: By when it has looked again: a campaign that died or was paused keeps nobody waiting for longer.
    """

    rate_per_s: float
    ceiling_per_s: float
    next_free_at: datetime
    adjusted_at: datetime
    bandwidth_bytes_per_s: int | None = None
    wire_free_at: datetime = LONG_AGO
    urgent_priority: int = 0
    urgent_until: datetime = LONG_AGO


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What devices are charged.

    Attributes:
        priority: Of the campaign; None for what yields to nobody.
        updates: Twin updates that each device costs, its reports included.
        length_bytes: What each will fetch, charged to the fleet's bandwidth.
        device_s: Seconds the campaign's own pace gives each device.
        free_at: From when on the campaign's own pace lets the next batch go; None: now.
    """

    priority: int | None = None
    updates: int = CHARGE_PER_DEVICE
    length_bytes: int = 0
    device_s: float = 0.0
    free_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """What a reservation got.

    Attributes:
        budget: The budget after it.
        times: One start per batch that got a slot, in order.
        next_at: When a further batch could begin.
        is_hub_full: Whether it was the hub that had no room for the rest.
    """

    budget: Budget
    times: tuple[datetime, ...]
    next_at: datetime
    is_hub_full: bool


NO_LOAD = Load()

TAKE_BACK_LOAD = Load(priority=MAX_PRIORITY + 1, updates=1)
"""Of offers that are taken back: no campaign comes before them, and a device does not report that its offer is gone."""


def is_slot_held(slot: datetime | None, *, now: datetime) -> bool:
    """Whether work that has this slot, or none, may still be done in it."""
    return slot is not None and now < slot + timedelta(seconds=SLOT_HOLDS_S)


def reserve(budget: Budget, sizes: Sequence[int], *, now: datetime, load: Load = NO_LOAD) -> Slots:
    """Slots for as many batches of these sizes, in order, as begin within the next 60 seconds.

    A batch begins when the hub, the fleet's bandwidth and the campaign's own pace all have room for it. What all share
    is charged from where it was free, not from where a slower one let the batch begin: the time between is for others.
    """
    horizon = now + timedelta(seconds=HORIZON_S)
    hub_s = load.updates / budget.rate_per_s
    wire_s = load.length_bytes / budget.bandwidth_bytes_per_s if budget.bandwidth_bytes_per_s else 0.0
    hub_at, own_at = max(budget.next_free_at, now), max(load.free_at or now, now)
    wire_at = max(budget.wire_free_at, now) if wire_s else now
    times: list[datetime] = []
    for size in sizes:
        begins = max(hub_at, wire_at, own_at)
        if begins >= horizon:
            break
        times.append(begins)
        hub_at += timedelta(seconds=size * hub_s)
        wire_at += timedelta(seconds=size * wire_s)
        own_at = begins + timedelta(seconds=size * load.device_s)
    # What was not charged keeps its time: a row that nobody used owes nothing.
    after = replace(budget, next_free_at=hub_at, wire_free_at=wire_at if wire_s else budget.wire_free_at)
    return Slots(
        budget=after if times else budget,
        times=tuple(times),
        next_at=max(hub_at, wire_at, own_at),
        is_hub_full=len(times) < len(sizes) and hub_at >= horizon,
    )


def reserve_turn(budget: Budget, size: int, *, now: datetime, load: Load = TAKE_BACK_LOAD) -> tuple[Budget, datetime]:
    """The next free slot for so many devices, however far ahead: for what must come to its turn whoever else asks.

    It is a minute away at most, and what one batch takes: nobody else reserves further ahead.
    """
    begins = max(budget.next_free_at, now)
    return replace(budget, next_free_at=begins + timedelta(seconds=size * load.updates / budget.rate_per_s)), begins


def yields_until(budget: Budget, priority: int | None, *, now: datetime) -> datetime | None:
    """Until when a campaign of this priority leaves the hub to a higher one; None where it need not."""
    if priority is None or priority >= budget.urgent_priority or now >= budget.urgent_until:
        return None
    return budget.urgent_until


def note_urgency(budget: Budget, priority: int | None, look_again_at: datetime | None, *, now: datetime) -> Budget:
    """The budget after a campaign of this priority, one that does not yield, reserved.

    Args:
        look_again_at: When it reserves again, because the hub had no room for all it wanted; None where it had.
    """
    if priority is None:
        return budget
    if look_again_at is not None:
        until = look_again_at + timedelta(seconds=URGENT_GRACE_S)
        return replace(budget, urgent_priority=priority, urgent_until=until)
    is_over = priority == budget.urgent_priority and now < budget.urgent_until
    return replace(budget, urgent_until=LONG_AGO) if is_over else budget


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
