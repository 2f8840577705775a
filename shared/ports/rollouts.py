"""Rollout rows with their counters, and device rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.cohorts import Tally
from shared.domain.devices import DeviceRecord
from shared.domain.gates import Counters
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import Rollout
from shared.domain.waves import DeviceBatch
from shared.ports.stored import Stored

MAX_MOVED = 98
"""With two counters rows they fill one table transaction of 100 entities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutChange:
    """A row to write: what was read, and what it shall be."""

    before: Stored[Rollout]
    after: Rollout


class RolloutStore(Protocol):
    """Table ``rollout``: partition = campaign and shard, rows in ring order, one counters row per wave beside them."""

    def create_batch(self, campaign: CampaignId, shard: int, rollouts: Sequence[Rollout]) -> bool:
        """Write the rows of a new batch and count them, in one transaction.

        Returns:
            False where the batch was written before; nothing is changed then.
        """

    def read_batch(self, campaign: CampaignId, batch: DeviceBatch) -> list[Stored[Rollout]]:
        """The rows of a batch in ring order, by one range query (two where the batch crosses the ring's end)."""

    def read_devices(
        self, campaign: CampaignId, shard: int, devices: Sequence[DeviceId]
    ) -> Mapping[DeviceId, Stored[Rollout]]:
        """The rows of at most 99 devices of one shard, those without a row left out."""

    def write(self, campaign: CampaignId, shard: int, changes: Sequence[RolloutChange]) -> list[Stored[Rollout]]:
        """Write at most 99 rows of one wave and move its counters, in one transaction.

        Returns:
            The rows as written, in the order of the changes, so that a second write needs no second read.

        Raises:
            ConcurrentChange: A row changed since it was read, or the counters stayed contended; nothing was written.
        """

    def move(self, campaign: CampaignId, shard: int, changes: Sequence[RolloutChange]) -> None:
        """Write at most ``MAX_MOVED`` rows that go from one wave to another, and both counters, in one transaction.

        Rows whose wave stays the same are written as ``write`` does.

        Raises:
            ConcurrentChange: A row changed since it was read, or the counters stayed contended; nothing was written.
        """

    def read_counters(self, campaign: CampaignId, wave: int, shards: int) -> Counters:
        """The wave's counters over all shards, one read per shard."""

    def read_tally(self, campaign: CampaignId, wave: int, shards: int) -> Tally:
        """The wave's counters and how its devices ended by cohort, as of one moment in each shard it reads."""

    def count_open(self, campaign: CampaignId, shard: int) -> int:
        """Rows of the shard, over all waves, that have an offer and have not ended; from the counters, in one read."""

    def read_stale(
        self, campaign: CampaignId, shard: int, *, before: datetime, start: int, limit: int
    ) -> list[Stored[Rollout]]:
        """At most ``limit`` open rows with an offer, last changed before ``before``, from position ``start`` on."""


class DeviceStore(Protocol):
    """Table ``devices``: one partition whatever the campaigns' shards, rows in ring order."""

    def read_batch(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Stored[DeviceRecord]]:
        """The rows of at most 99 devices that follow each other on the ring, those without a row left out."""

    def write(self, records: Sequence[Stored[DeviceRecord]]) -> None:
        """Write at most 99 rows in one transaction; an empty etag means the row must be new.

        Raises:
            ConcurrentChange: A row changed since it was read, or is there already; nothing was written.
        """
