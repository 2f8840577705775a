"""All queues of a namespace with their dead-letter queues."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from emulator.bus.config import NamespaceConfig, QueueConfig
from emulator.bus.errors import BusError, Condition
from emulator.bus.store.message import Clock, MessageState, StoredMessage
from emulator.bus.store.queue import MessageQueue
from emulator.bus.store.rules import QueueHooks, QueueRules

DEAD_LETTER_SUFFIX = "/$deadletterqueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounts:
    """Messages in a queue; `active` includes those under a lock."""

    active: int
    scheduled: int
    deferred: int
    dead_letter: int


class BusStore:
    """Queues by path, without regard to case.

    Attributes:
        on_change: called with a queue after anything that may make a delivery possible or fall due earlier.
        queue_names: as declared.
        now: the clock.
    """

    def __init__(self, config: NamespaceConfig, clock: Clock) -> None:
        self.on_change: Callable[[MessageQueue], None] = lambda _: None
        self.queue_names = tuple(queue.name for queue in config.queues)
        self.now = clock
        self._queues: dict[str, MessageQueue] = {}
        for queue in config.queues:
            self._add(queue)

    def _add(self, config: QueueConfig) -> None:
        numbers = itertools.count(1)
        dead_path = f"{config.name}/$DeadLetterQueue"
        dead_hooks = QueueHooks()
        if config.forward_dead_letters_to:
            dead_hooks.forward = partial(self._forward_dead_letter, config)
        dead = self._open(QueueRules(path=dead_path, lock_s=config.lock_s), numbers, dead_hooks)
        hooks = QueueHooks(dead_letter=dead.take_dead_letter)
        if config.forward_to:
            hooks.forward = partial(self._forward, config)
        self._open(_rules(config), numbers, hooks)

    def _open(self, rules: QueueRules, numbers: "itertools.count[int]", hooks: QueueHooks) -> MessageQueue:
        queue = MessageQueue(rules, self.now, numbers, hooks)
        hooks.changed = lambda: self.on_change(queue)
        self._queues[rules.path.lower()] = queue
        return queue

    def _forward(self, source: QueueConfig, message: StoredMessage) -> None:
        try:
            self.queue(source.forward_to).take_forwarded(message)
        except BusError as error:
            noted = {"DeadLetterReason": "ForwardingFailed", "DeadLetterErrorDescription": error.description}
            message.content = message.content.with_application_properties(noted)
            self.queue(source.name + DEAD_LETTER_SUFFIX).take_dead_letter(message)

    def _forward_dead_letter(self, source: QueueConfig, message: StoredMessage) -> None:
        message.dead_letter_source = source.name
        self.queue(source.forward_dead_letters_to).take_forwarded(message)

    def queue(self, path: str) -> MessageQueue:
        """A queue or, with the suffix `/$DeadLetterQueue`, its dead letters.

        Raises:
            BusError: `amqp:not-found`.
        """
        found = self._queues.get(path.lower())
        if found is None:
            raise BusError(Condition.NOT_FOUND, f"The messaging entity '{path}' could not be found.")
        return found

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of all queues, dead-letter queues included, in lower case."""
        return tuple(self._queues)

    def counts(self) -> dict[str, QueueCounts]:
        """Counts by queue name, brought up to the present."""
        self.advance()
        return {name: self._count(name) for name in self.queue_names}

    def _count(self, name: str) -> QueueCounts:
        states = [message.state for message in self.queue(name).messages.values()]
        return QueueCounts(
            active=states.count(MessageState.ACTIVE),
            scheduled=states.count(MessageState.SCHEDULED),
            deferred=states.count(MessageState.DEFERRED),
            dead_letter=len(self.queue(name + DEAD_LETTER_SUFFIX).messages),
        )

    def next_due_at(self) -> float | None:
        """When `advance` next has something to do."""
        times = [when for queue in self._queues.values() if (when := queue.next_due_at()) is not None]
        return min(times, default=None)

    def advance(self) -> None:
        """Does what fell due in every queue."""
        for queue in self._queues.values():
            queue.advance()


def _rules(config: QueueConfig) -> QueueRules:
    return QueueRules(
        path=config.name,
        lock_s=config.lock_s,
        max_delivery_count=config.max_delivery_count,
        requires_session=config.requires_session,
        duplicate_window_s=config.duplicate_window_s if config.requires_duplicate_detection else None,
        default_ttl_s=config.default_ttl_s if config.default_ttl_s < 1e11 else math.inf,
        dead_letter_on_expiry=config.dead_letter_on_expiry,
    )
