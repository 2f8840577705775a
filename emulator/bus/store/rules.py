"""How a queue behaves, and where its messages go when they leave."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.bus.amqp.sections import Content
from emulator.bus.errors import BusError, Condition
from emulator.bus.store.message import StoredMessage

_ID_LENGTH = 128  # characters in a message or session id: Microsoft Learn, "Service Bus quotas"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRules:
    """How a queue behaves. Durations in seconds; `max_delivery_count` None: never gives up."""

    path: str
    lock_s: float
    max_delivery_count: int | None = None
    requires_session: bool = False
    duplicate_window_s: float | None = None
    default_ttl_s: float = math.inf
    dead_letter_on_expiry: bool = False

    def check(self, content: Content) -> None:
        """Says whether a queue with these rules takes a message.

        Raises:
            BusError: `amqp:not-allowed` without a session id where one is required;
                `com.microsoft:argument-error` for an id longer than 128 characters.
        """
        if self.requires_session and content.session_id is None:
            raise BusError(
                Condition.NOT_ALLOWED, f"'{self.path}' requires sessions, and the message has no session id."
            )
        for name, value in (("message id", content.message_id), ("session id", content.session_id)):
            if value is not None and len(value) > _ID_LENGTH:
                raise BusError(Condition.ARGUMENT_ERROR, f"The {name} is longer than {_ID_LENGTH} characters.")

    def time_to_live_s(self, content: Content) -> float:
        """The shorter of what the sender and the queue allow."""
        sent_ms = content.header.ttl_ms
        return self.default_ttl_s if sent_ms is None else min(sent_ms / 1000, self.default_ttl_s)


@dataclass(slots=True, kw_only=True)
class QueueHooks:
    """Where messages go when they leave, and who wants to know of changes.

    Attributes:
        dead_letter: takes a message the queue gives up; None drops it.
        forward: takes a message that became active, in place of the queue.
        changed: called after anything that may make a delivery possible or fall due earlier.
    """

    dead_letter: Callable[[StoredMessage], None] | None = None
    forward: Callable[[StoredMessage], None] | None = None
    changed: Callable[[], None] = field(default=lambda: None)
