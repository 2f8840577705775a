"""Walks: work that goes through the device batches of a campaign, wave by wave, a step at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class BatchPurpose(StrEnum):
    """What a device batch is dispatched for; the values are the words in queue messages.

    WITHDRAW takes back all open offers, RECALL those that no device has begun with, SKIP leaves out the devices that
    have none, RETRY opens a new attempt for those that failed or were silent, AGAIN gives those that wait for a further
    attempt their time slot.
    """

    OFFER = "offer"
    WITHDRAW = "withdraw"
    RECALL = "recall"
    SKIP = "skip"
    RETRY = "retry"
    AGAIN = "again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The cursor of such work.

    Attributes:
        wave: The wave in hand, from 1.
        last_wave: The last wave it goes to.
        batches: Batches of the wave in hand that have been put on the queue.
        round: How often it went through them, this time included.
        walked_at: When the last batch of this round was on the queue; None while it walks.
    """

    purpose: BatchPurpose
    wave: int = 1
    last_wave: int
    batches: int = 0
    round: int = 1
    walked_at: datetime | None = None


TAKES_BACK = frozenset({BatchPurpose.WITHDRAW, BatchPurpose.RECALL})

MAX_ROUNDS = 4
ROUND_LASTS = timedelta(minutes=15)
"""Work that an offer's dispatch has in hand may take ten minutes (``functionTimeout`` of host.json): what is not done
after this long is lost, and goes out again."""

_LOOK_AGAIN = timedelta(seconds=15)
_LATEST_LOOK = timedelta(minutes=2)


def gives_up_at(walk: Walk) -> datetime | None:
    """When a walk that waits for its work to be done leaves it as it is; None while it walks."""
    return None if walk.walked_at is None else walk.walked_at + (MAX_ROUNDS - walk.round + 1) * ROUND_LASTS


def look_after(walk: Walk, *, is_done: bool, now: datetime) -> tuple[Walk | None, datetime]:
    """The walk behind its last batch, and when to look at it again; None where nothing is left of it to wait for.

    Queues are wake-ups: whether its work is done is seen in the rows. Where it is not, all goes out again, and in the
    end the rows are taken as they are.
    """
    walked_at = walk.walked_at or now
    if is_done or (walk.round >= MAX_ROUNDS and now >= walked_at + ROUND_LASTS):
        return None, now
    if now >= walked_at + ROUND_LASTS:
        return Walk(purpose=walk.purpose, last_wave=walk.last_wave, round=walk.round + 1), now
    again = min(max((now - walked_at) / 4, _LOOK_AGAIN), _LATEST_LOOK)
    return replace(walk, walked_at=walked_at), now + again
