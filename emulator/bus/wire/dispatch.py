"""Who gets the next message of a queue: its receivers in turn."""

from collections import deque
from typing import Protocol

from emulator.bus.store.message import SessionLock
from emulator.bus.store.queue import MessageQueue


class Receiver(Protocol):
    """A link that takes messages.

    Attributes:
        held: the session lock, on a queue with sessions.
    """

    held: SessionLock | None

    def deliver_one(self) -> bool:
        """Sends one message if it can."""

    def lose_session(self) -> None:
        """The session lock is no longer in force."""


class Waiter(Protocol):
    """A client that waits for any session with messages."""

    def grant(self, lock: SessionLock) -> None:
        """Gets a session."""


class Dispatcher:
    """The receivers of one queue."""

    def __init__(self, queue: MessageQueue) -> None:
        self._queue = queue
        self._receivers: deque[Receiver] = deque()
        self._waiters: deque[Waiter] = deque()

    def add(self, receiver: Receiver) -> None:
        """A link opened."""
        self._receivers.append(receiver)

    def remove(self, receiver: Receiver) -> None:
        """A link closed."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def wait(self, waiter: Waiter) -> None:
        """Queues a client for the next free session."""
        self._waiters.append(waiter)

    def forget(self, waiter: Waiter) -> None:
        """A client no longer waits."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def receivers(self) -> int:
        """How many links take messages of the queue."""
        return len(self._receivers)

    def waiting(self) -> int:
        """How many clients wait for a session."""
        return len(self._waiters)

    def run(self) -> None:
        """Grants sessions and delivers, one message to each receiver in turn, until nobody takes one."""
        self._queue.advance()
        for receiver in list(self._receivers):
            if receiver.held is not None and not self._queue.sessions.holds(receiver.held):
                receiver.lose_session()
        while self._waiters and (lock := self._queue.accept_session(None)) is not None:
            self._waiters.popleft().grant(lock)
        idle = 0
        while idle < len(self._receivers):
            receiver = self._receivers[0]
            self._receivers.rotate(-1)
            idle = 0 if receiver.deliver_one() else idle + 1
