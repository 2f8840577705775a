"""Queues with duplicate detection and scheduled messages, a topic and the parking in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from shared.ports.bus import OutgoingEvent, OutgoingMessage, Queue
from shared.ports.errors import Unavailable
from shared.ports.replay import Send, SetAside, queue_of

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
    """A ``Parking``, and the ``SetAsideMessages`` in it."""

    def __init__(self) -> None:
        self.parked: dict[tuple[str, bytes], tuple[str, str]] = {}
        self._sessions: dict[tuple[str, bytes], str] = {}
        self._receipts: dict[tuple[str, bytes], str] = {}
        self._numbers = count(1)

    def park(self, *, source: str, body: bytes, code: str, reason: str, session_id: str = "") -> None:
        key = source, body
        self.parked[key], self._sessions[key] = (code, reason), session_id
        self._receipts[key] = str(next(self._numbers))

    def list(self) -> Iterator[SetAside]:
        yield from [self._set_aside(key) for key in self.parked]

    def resend(self, chosen: Sequence[SetAside], send: Send) -> int:
        done = 0
        for message in chosen:
            key = next((key for key in self.parked if self._set_aside(key) == message), None)
            if key is not None:
                send(message, key[1])
                self.remove(key, message.receipt)
                done += 1
        return done

    def remove(self, key: tuple[str, bytes], receipt: str) -> None:
        """Remove what was not parked once more."""
        if self._receipts.get(key) == receipt:
            del self.parked[key]

    def _set_aside(self, key: tuple[str, bytes]) -> SetAside:
        (code, reason), (source, body) = self.parked[key], key
        return SetAside(
            id=f"parked/{source}/{hashlib.sha256(body).hexdigest()}",
            queue=queue_of(source),
            session_id=self._sessions[key],
            code=code,
            reason=reason,
            since=datetime(2026, 1, 1, tzinfo=UTC),
            receipt=self._receipts[key],
        )
