"""An event hub: an ordered log per partition, and how far each consumer group has read it."""

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One event in a partition.

    Attributes:
        body: the payload, UTF-8 text.
        properties: application properties.
        system_properties: properties that IoT Hub stamped.
        sequence_number: position in the partition, from 0.
        offset: byte position as text, as Event Hubs gives it.
    """

    body: str
    properties: Mapping[str, str]
    system_properties: Mapping[str, str]
    partition_key: str
    sequence_number: int
    offset: str
    enqueued_at: datetime

    def to_wire(self) -> dict[str, Any]:
        """JSON form for a reader."""
        return {
            "body": self.body,
            "properties": dict(self.properties),
            "systemProperties": dict(self.system_properties),
            "partitionKey": self.partition_key,
            "sequenceNumber": self.sequence_number,
            "offset": self.offset,
            "enqueuedTimeUtc": self.enqueued_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }


class EventLog:
    """The partitions of one event hub, in memory; consumer groups appear when first used.

    Args:
        name: name of the event hub.
        partitions: number of partitions.
    """

    def __init__(self, name: str, *, partitions: int) -> None:
        self.name = name
        self._partitions: list[list[EventRecord]] = [[] for _ in range(partitions)]
        self._sizes_bytes = [0] * partitions
        self._checkpoints: dict[tuple[str, int], int] = {}
        self._grown = [asyncio.Event() for _ in range(partitions)]

    @property
    def partition_count(self) -> int:
        return len(self._partitions)

    def partition_of(self, key: str) -> int:
        """The partition for a key; the same key always lands in the same one."""
        return zlib.crc32(key.encode()) % len(self._partitions)

    def append(
        self,
        *,
        key: str,
        body: str,
        properties: Mapping[str, str],
        system_properties: Mapping[str, str],
    ) -> EventRecord:
        """Append an event to the partition of `key` and wake its readers."""
        partition = self.partition_of(key)
        record = EventRecord(
            body=body,
            properties=properties,
            system_properties=system_properties,
            partition_key=key,
            sequence_number=len(self._partitions[partition]),
            offset=str(self._sizes_bytes[partition]),
            enqueued_at=datetime.now(UTC),
        )
        self._partitions[partition].append(record)
        self._sizes_bytes[partition] += len(body.encode())
        self._grown[partition].set()
        return record

    async def read(self, group: str, partition: int, *, most: int, wait_s: float) -> list[EventRecord]:
        """Events after the group's checkpoint: at least one, unless `wait_s` seconds pass first.

        Raises:
            IndexError: no such partition.
        """
        start = self._checkpoints.get((group, partition), 0)
        if start >= len(self._partitions[partition]):
            self._grown[partition].clear()
            try:
                await asyncio.wait_for(self._grown[partition].wait(), wait_s)
            except TimeoutError:
                return []
        return self._partitions[partition][start : start + most]

    def checkpoint(self, group: str, partition: int, sequence_number: int) -> None:
        """Say that a group is done with everything up to and including `sequence_number`."""
        self._checkpoints[group, partition] = sequence_number + 1

    def lag(self, group: str = "$Default") -> int:
        """Events that the group has not finished."""
        done = (self._checkpoints.get((group, index), 0) for index in range(len(self._partitions)))
        return sum(len(each) for each in self._partitions) - sum(done)

    def count(self) -> int:
        """Events ever appended."""
        return sum(len(each) for each in self._partitions)
