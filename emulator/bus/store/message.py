"""A message in a queue, and the lock on it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from emulator.bus.amqp.sections import Content, Header
from emulator.bus.amqp.types import Int, Symbol, Timestamp, Value

type Clock = Callable[[], float]
"""Seconds since 1970-01-01 UTC."""


class MessageState(IntEnum):
    """The annotation `x-opt-message-state`; a locked message is active or deferred."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(slots=True, kw_only=True)
class SessionLock:
    """One receiver's hold on a session, until the given time.

    Attributes:
        holder: the receiver's connection; None while nobody has taken delivery of the lock.
    """

    session_id: str
    until: float
    holder: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLock:
    """One receiver's hold on a message; under a session it lasts as long as the session's."""

    token: UUID
    until: float
    session: SessionLock | None = None

    def ends_at(self) -> float:
        """When the lock is lost."""
        return self.until if self.session is None else self.session.until


@dataclass(slots=True, kw_only=True)
class StoredMessage:
    """What the queue knows about a message. Times in seconds since 1970 UTC.

    Attributes:
        sequence: unique in the queue, rising; a scheduled message gets a new one when it becomes active.
        expires_at: infinite for a message that never expires.
        delivery_count: failed deliveries so far; 0 on the first delivery.
        origin_sequence: the number in the queue it was sent to first, where it was forwarded.
        dead_letter_source: the queue that dead-lettered it, where the dead letter was forwarded.
    """

    sequence: int
    content: Content
    state: MessageState = MessageState.ACTIVE
    enqueued_at: float = 0.0
    ttl_s: float = math.inf
    expires_at: float = math.inf
    delivery_count: int = 0
    lock: MessageLock | None = None
    origin_sequence: int | None = None
    dead_letter_source: str | None = None

    @property
    def session_id(self) -> str | None:
        """The session the sender put it in."""
        return self.content.session_id

    def is_ready(self) -> bool:
        """Whether it may be delivered now."""
        return self.lock is None and self.state is MessageState.ACTIVE

    def encoded(self) -> bytes:
        """The message as a receiver gets it: sender's content, broker's header and annotations."""
        sent = self.content.header
        header = Header(
            durable=sent.durable,
            priority=sent.priority,
            ttl_ms=None if math.isinf(self.ttl_s) else int(self.ttl_s * 1000),
            delivery_count=self.delivery_count,
        )
        return self.content.encoded(header, self._annotations())

    def _annotations(self) -> dict[str, Value]:
        notes: dict[str, Value] = {
            "x-opt-sequence-number": self.sequence,
            "x-opt-enqueued-time": to_timestamp(self.enqueued_at),
            "x-opt-message-state": Int(self.state),
            "x-opt-enqueue-sequence-number": self.origin_sequence or self.sequence,
        }
        if self.lock is not None:
            notes["x-opt-locked-until"] = to_timestamp(self.lock.ends_at())
        if self.dead_letter_source is not None:
            notes["x-opt-deadletter-source"] = self.dead_letter_source
        return {Symbol(key): value for key, value in notes.items()}


def to_timestamp(seconds: float) -> Timestamp:
    """Milliseconds since 1970 UTC, as AMQP writes a time."""
    return Timestamp(round(seconds * 1000))
