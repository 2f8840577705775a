"""Walks: work that goes through the device batches of a campaign, wave by wave, a step at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BatchPurpose(StrEnum):
    """What a device batch is dispatched for; the values are the words in queue messages.

    WITHDRAW takes back all open offers, RECALL those that no device has begun with, SKIP leaves out the devices that
    have none, RETRY opens a new attempt for those that failed or were silent.
    """

    OFFER = "offer"
    WITHDRAW = "withdraw"
    RECALL = "recall"
    SKIP = "skip"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The cursor of such work.

    Attributes:
        wave: The wave in hand, from 1.
        last_wave: The last wave it goes to.
        batches: Batches of the wave in hand that have been put on the queue.
    """

    purpose: BatchPurpose
    wave: int = 1
    last_wave: int
    batches: int = 0
