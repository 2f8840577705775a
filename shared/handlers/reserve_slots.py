"""Reserving time slots from the hub's budget, which all campaigns and instances share (invariant I6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.ids import CampaignId
from shared.domain.pacing import HORIZON_S, Load, note_urgency, reserve, reserve_turn, yields_until
from shared.domain.walks import BatchPurpose
from shared.domain.waves import DeviceBatch
from shared.handlers.contention import until_written
from shared.handlers.wakeups import request_work
from shared.ports.bus import OutgoingMessage
from shared.ports.campaigns import BudgetStore
from shared.ports.stored import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Batches that may go out, each with its time.

    Attributes:
        slots: The batches that got a slot, in order, with the time they begin.
        look_again_at: When it is worth asking for more: as the last slot begins, so that the hub never idles, or half
            a minute before a further one could begin, where that is later.
    """

    slots: tuple[tuple[DeviceBatch, datetime], ...]
    look_again_at: datetime

    def work(self, campaign: CampaignId, purpose: BatchPurpose, step: int) -> Iterator[OutgoingMessage]:
        """One message for ``device-batches`` per slot."""
        for batch, at in self.slots:
            yield request_work(campaign, batch, purpose, step, enqueue_at=at)


def reserve_slots(
    budget: BudgetStore,
    batches: Sequence[DeviceBatch],
    *,
    now: datetime,
    load: Load,
    sizes: Sequence[int] | None = None,
) -> Reservation:
    """Slots for as many of the batches as begin within the next 60 seconds, maybe none, in one conditional write.

    Args:
        load: What each device is charged.
        sizes: How many devices of each batch are charged; None for all.

    Raises:
        ConcurrentChange: Other campaigns kept reserving at the same moment.
    """
    charged = [batch.count for batch in batches] if sizes is None else sizes

    def attempt() -> Reservation:
        before = budget.get()
        if (until := yields_until(before.value, load.priority, now=now)) is not None:
            return Reservation(slots=(), look_again_at=until)
        got = reserve(before.value, charged, now=now, load=load)
        again_at = max([got.next_at - timedelta(seconds=HORIZON_S / 2), *got.times[-1:]])
        after = note_urgency(got.budget, load.priority, again_at if got.is_hub_full else None, now=now)
        if after != before.value:
            budget.save(Stored(value=after, etag=before.etag))
        return Reservation(slots=tuple(zip(batches, got.times, strict=False)), look_again_at=again_at)

    return until_written(attempt, what="the budget")


def take_turn(budget: BudgetStore, devices: int, *, now: datetime) -> datetime:
    """When so many offers may be taken back: nobody keeps them from it, and they are charged as all else is.

    Raises:
        ConcurrentChange: Others kept reserving at the same moment.
    """

    def attempt() -> datetime:
        before = budget.get()
        after, begins = reserve_turn(before.value, devices, now=now)
        budget.save(Stored(value=after, etag=before.etag))
        return begins

    return until_written(attempt, what="the budget")
