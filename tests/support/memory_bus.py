"""Queues with duplicate detection and scheduled messages, a topic and the parking in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.ports.bus import OutgoingEvent, OutgoingMessage, Queue
from shared.ports.errors import Unavailable

DUPLICATE_WINDOW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message in a queue."""

    queue: Queue
    message: OutgoingMessage
    visible_at: datetime


class MemoryBus:
    """A ``MessageSender``; a test takes messages out itself. ``now`` is the queues' clock."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.now = now
        self.waiting: list[Waiting] = []
        self.sent: list[Waiting] = []
        self._seen: dict[tuple[Queue, str], datetime] = {}

    def send(self, queue: Queue, messages: Sequence[OutgoingMessage]) -> None:
        for message in messages:
            assert len(message.message_id) <= 128
            seen = self._seen.get((queue, message.message_id))
            if seen is not None and self.now - seen < DUPLICATE_WINDOW:
                continue
            self._seen[queue, message.message_id] = self.now
            entry = Waiting(queue=queue, message=message, visible_at=max(self.now, message.enqueue_at or self.now))
            self.waiting.append(entry)
            self.sent.append(entry)

    def sent_to(self, queue: Queue) -> list[OutgoingMessage]:
        """Everything that was ever accepted for a queue."""
        return [entry.message for entry in self.sent if entry.queue is queue]


class MemoryEvents:
    """An ``EventPublisher``; ``is_down`` makes every call fail."""

    def __init__(self) -> None:
        self.events: list[OutgoingEvent] = []
        self.is_down = False

    def publish(self, events: Sequence[OutgoingEvent]) -> None:
        if self.is_down:
            raise Unavailable("the topic is down")
        self.events.extend(events)


class MemoryParking:
    """A ``Parking``."""

    def __init__(self) -> None:
        self.parked: dict[tuple[str, bytes], tuple[str, str]] = {}

    def park(self, *, source: str, body: bytes, code: str, reason: str) -> None:
        self.parked.setdefault((source, body), (code, reason))
