"""An event hub: an ordered log per partition, and how far each consumer group has read it."""

import asyncio
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from emulator.durable import Entry, Part


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
    """The partitions of one event hub; consumer groups appear when first used.

    What all groups of a partition are done with is in memory only, and gone after :meth:`restore`.

    Args:
        name: name of the event hub.
        partitions: number of partitions.
    """

    def __init__(self, name: str, *, partitions: int) -> None:
        self.name = name
        self._partitions: list[list[EventRecord]] = [[] for _ in range(partitions)]
        self._sizes_bytes = [0] * partitions
        self._bases = [0] * partitions
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
            sequence_number=self._next(partition),
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
        if start >= self._next(partition):
            self._grown[partition].clear()
            try:
                await asyncio.wait_for(self._grown[partition].wait(), wait_s)
            except TimeoutError:
                return []
        first = max(0, start - self._bases[partition])
        return self._partitions[partition][first : first + most]

    def read_from(self, partition: int, sequence_number: int, *, most: int) -> list[EventRecord]:
        """Events from a sequence number on; no group's pointer is looked at or moved."""
        first = max(0, sequence_number - self._bases[partition])
        return self._partitions[partition][first : first + most]

    def ends(self) -> list[int]:
        """For each partition, the sequence number of its next event."""
        return [self._next(partition) for partition in range(len(self._partitions))]

    def checkpoint(self, group: str, partition: int, sequence_number: int) -> None:
        """Say that a group is done with everything up to and including `sequence_number`."""
        self._checkpoints[group, partition] = sequence_number + 1

    def lag(self, group: str = "$Default") -> int:
        """Events that the group has not finished."""
        return sum(self._next(index) - self._start(group, index) for index in range(len(self._partitions)))

    def count(self) -> int:
        """Events ever appended."""
        return sum(map(self._next, range(len(self._partitions))))

    def held(self) -> Iterator[Entry]:
        """How far groups are, and the events that one of them has not finished."""
        for index, records in enumerate(self._partitions):
            groups = {group: done for (group, partition), done in self._checkpoints.items() if partition == index}
            pointers = {"next": self._next(index), "sizeBytes": self._sizes_bytes[index], "groups": groups}
            key = f"{self.name}/{index}"
            yield Entry(key=key, mark=pointers, write=partial(dict, pointers))
            unread = min(groups.values(), default=0)
            for record in records[max(0, unread - self._bases[index]) :]:
                yield Entry(key=f"{key}/{record.sequence_number}", mark=record.sequence_number, write=record.to_wire)

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Hold again what was held; of partitions that are there no more, nothing."""
        for index in range(len(self._partitions)):
            key = f"{self.name}/{index}"
            if (pointers := documents.get(key)) is None:
                continue
            found = [document for name, document in documents.items() if name.startswith(f"{key}/")]
            records = sorted(map(_read_record, found), key=lambda record: record.sequence_number)
            self._partitions[index] = records
            self._bases[index] = records[0].sequence_number if records else pointers["next"]
            self._sizes_bytes[index] = pointers["sizeBytes"]
            self._checkpoints |= {(group, index): done for group, done in pointers["groups"].items()}

    def _next(self, partition: int) -> int:
        return self._bases[partition] + len(self._partitions[partition])

    def _start(self, group: str, partition: int) -> int:
        return self._checkpoints.get((group, partition), self._bases[partition])


def event_hubs_part(hubs: Mapping[str, EventLog]) -> Part:
    """All event hubs."""

    def restore(documents: Mapping[str, Any]) -> None:
        for hub in hubs.values():
            hub.restore(documents)

    return Part(
        name="event hubs", held=lambda: (entry for hub in hubs.values() for entry in hub.held()), restore=restore
    )


def _read_record(document: Mapping[str, Any]) -> EventRecord:
    return EventRecord(
        body=document["body"],
        properties=document["properties"],
        system_properties=document["systemProperties"],
        partition_key=document["partitionKey"],
        sequence_number=document["sequenceNumber"],
        offset=document["offset"],
        enqueued_at=datetime.fromisoformat(document["enqueuedTimeUtc"]),
    )
