"""Locks on messages."""

from uuid import UUID, uuid4

from emulator.bus.errors import BusError, Condition
from emulator.bus.store.message import MessageLock, SessionLock, StoredMessage
from emulator.bus.store.rules import QueueRules


class LockTable:
    """Locked messages by lock token."""

    __slots__ = ("_by_token", "_rules")

    def __init__(self, rules: QueueRules) -> None:
        self._rules = rules
        self._by_token: dict[UUID, StoredMessage] = {}

    def lock(self, message: StoredMessage, session: SessionLock | None, now: float) -> MessageLock:
        """Locks a message for the queue's lock duration, or as long as the session is held."""
        lock = MessageLock(token=uuid4(), until=now + self._rules.lock_s, session=session)
        message.lock = lock
        self._by_token[lock.token] = message
        return lock

    def find(self, token: UUID) -> StoredMessage | None:
        """The message under a lock, if the lock is in force."""
        return self._by_token.get(token)

    def require(self, token: UUID) -> StoredMessage:
        """The message under a lock.

        Raises:
            BusError: `com.microsoft:message-lock-lost`, or `session-lock-lost` on a queue with sessions.
        """
        message = self._by_token.get(token)
        if message is None:
            with_sessions = self._rules.requires_session
            lost = Condition.SESSION_LOCK_LOST if with_sessions else Condition.MESSAGE_LOCK_LOST
            raise BusError(lost, "The lock has expired, or the message was settled already.")
        return message

    def renew(self, token: UUID, now: float) -> MessageLock:
        """Prolongs a lock by the lock duration.

        Raises:
            BusError: as `require`; `amqp:not-allowed` for a lock that lasts as long as its session's.
        """
        message = self.require(token)
        if message.lock is None or message.lock.session is not None:
            raise BusError(Condition.NOT_ALLOWED, "Renew the lock of the session instead.")
        message.lock = MessageLock(token=token, until=now + self._rules.lock_s)
        return message.lock

    def release(self, message: StoredMessage) -> StoredMessage:
        """Takes the lock off a message."""
        if message.lock is not None:
            del self._by_token[message.lock.token]
            message.lock = None
        return message

    def held_in(self, session: SessionLock) -> list[StoredMessage]:
        """The messages locked under a session lock."""
        return [found for found in self._by_token.values() if found.lock and found.lock.session is session]
