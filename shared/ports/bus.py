"""Sending messages and events, and keeping aside what cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Queue(StrEnum):
    """The queues, by the names they have in every deployment."""

    INDEX_REQUESTS = "index-requests"
    CAMPAIGN_STEPS = "campaign-steps"
    DEVICE_BATCHES = "device-batches"
    BATCH_DEADLINES = "batch-deadlines"
    REPORT_BACKLOG = "report-backlog"
    OPERATION_STEPS = "operation-steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message for a queue.

    Attributes:
        message_id: At most 128 characters; repeats within the duplicate-detection window are dropped.
        session_id: Required by sessioned queues, empty elsewhere.
        enqueue_at: When it becomes visible; None means now.
        properties: Said beside the body, for whoever handles messages without reading them.
    """

    body: bytes
    message_id: str
    session_id: str = ""
    enqueue_at: datetime | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


class MessageSender(Protocol):
    """Service Bus, sending side."""

    def send(self, queue: Queue, messages: Sequence[OutgoingMessage]) -> None:
        """Send all messages, in order, in as few calls as their size allows.

        Raises:
            PortError: Some may have been sent; sending them all again is safe, because ids are dropped twice.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEvent:
    """A CloudEvent to publish; ``data`` is JSON text."""

    type: str
    subject: str
    data: bytes
    id: str


class EventPublisher(Protocol):
    """An Event Grid topic, publishing side."""

    def publish(self, events: Sequence[OutgoingEvent]) -> None:
        """Publish all events.

        Raises:
            PortError: Some may have been published.
        """


class Parking(Protocol):
    """Where messages go that nobody can read, with the reason."""

    def park(self, *, source: str, body: bytes, code: str, reason: str, session_id: str = "") -> None:
        """Keep the message; the same body from the same source is kept once, with what was last said about it.

        Raises:
            PortError: It is not kept, and the message must not be completed.
        """
