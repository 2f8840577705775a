"""One queue: the life of its messages, told by method calls and a clock."""

import math
from collections.abc import Iterable, Iterator
from uuid import UUID

from emulator.bus.amqp.outcomes import Settlement, Verdict
from emulator.bus.amqp.sections import Content
from emulator.bus.errors import message_not_found
from emulator.bus.store.agenda import Agenda, Due, DueKind
from emulator.bus.store.due import still_holds
from emulator.bus.store.duplicates import DuplicateHistory
from emulator.bus.store.lines import ReadyLines
from emulator.bus.store.locks import LockTable
from emulator.bus.store.message import Clock, MessageState, SessionLock, StoredMessage
from emulator.bus.store.rules import QueueHooks, QueueRules
from emulator.bus.store.sessions import SessionBook


class MessageQueue:
    """Messages waiting, locked, deferred or scheduled.

    Attributes:
        rules: how it behaves.
        sessions: session locks and states.
        messages: sequence number to message, all states.
        now: the clock.
    """

    def __init__(self, rules: QueueRules, clock: Clock, numbers: Iterator[int], hooks: QueueHooks) -> None:
        self.rules = rules
        self.sessions = SessionBook(rules.lock_s)
        self.messages: dict[int, StoredMessage] = {}
        self.now = clock
        self._hooks = hooks
        self._numbers = numbers
        self._agenda = Agenda()
        self._lines = ReadyLines(self._is_ready)
        self._locks = LockTable(rules)
        window_s = rules.duplicate_window_s
        self._duplicates = None if window_s is None else DuplicateHistory(window_s)

    def send(self, content: Content, scheduled_for: float | None = None) -> int:
        """Takes a message, now or at a time, and returns its sequence number.

        A duplicate is taken and forgotten; its number then belongs to no message.

        Raises:
            BusError: what `QueueRules.check` refuses.
        """
        self.rules.check(content)
        now = self.now()
        sequence = next(self._numbers)
        if self._duplicates is not None and self._duplicates.is_duplicate(content.message_id, now):
            return sequence
        message = StoredMessage(sequence=sequence, content=content, enqueued_at=now)
        if scheduled_for is not None and scheduled_for > now:
            self._schedule(message, scheduled_for)
        else:
            self._activate(message)
        return sequence

    def take_forwarded(self, message: StoredMessage) -> None:
        """Takes a message another queue forwarded; it keeps its first number as `origin_sequence`.

        Raises:
            BusError: what `QueueRules.check` refuses.
        """
        self.rules.check(message.content)
        if self._duplicates is not None and self._duplicates.is_duplicate(message.content.message_id, self.now()):
            return
        message.origin_sequence = message.origin_sequence or message.sequence
        message.sequence, message.delivery_count = next(self._numbers), 0
        self._activate(message)

    def take_dead_letter(self, message: StoredMessage) -> None:
        """Takes a message its queue gave up, as it is, sequence number included. It never expires."""
        message.lock, message.state, message.expires_at = None, MessageState.ACTIVE, math.inf
        self._settle_in(message)

    def restore(self, message: StoredMessage) -> None:
        """Takes back, as it is, what a queue of this name held before the process ended."""
        self.messages[message.sequence] = message
        while next(self._numbers) < message.sequence:
            pass
        if message.state is MessageState.SCHEDULED:
            self._note(message.enqueued_at, DueKind.ACTIVATE, message.sequence)
            return
        if not math.isinf(message.expires_at):
            self._note(message.expires_at, DueKind.EXPIRE, message.sequence)
        self._make_ready(message)

    def cancel(self, sequence: int) -> None:
        """Takes a scheduled message back.

        Raises:
            BusError: `com.microsoft:message-not-found`, it is not, or no longer, scheduled.
        """
        self.advance()
        message = self.messages.get(sequence)
        if message is None or message.state is not MessageState.SCHEDULED:
            raise message_not_found(sequence)
        del self.messages[sequence]

    def _schedule(self, message: StoredMessage, when: float) -> None:
        message.state, message.enqueued_at = MessageState.SCHEDULED, when
        self.messages[message.sequence] = message
        self._note(when, DueKind.ACTIVATE, message.sequence)

    def _activate(self, message: StoredMessage) -> None:
        now = self.now()
        message.ttl_s = self.rules.time_to_live_s(message.content)
        message.state, message.enqueued_at, message.expires_at = MessageState.ACTIVE, now, now + message.ttl_s
        self._settle_in(message)

    def _settle_in(self, message: StoredMessage) -> None:
        if self._hooks.forward is not None:
            self._hooks.forward(message)
            return
        self.messages[message.sequence] = message
        if not math.isinf(message.expires_at):
            self._note(message.expires_at, DueKind.EXPIRE, message.sequence)
        self._make_ready(message)

    def acquire(self, session: SessionLock | None = None) -> StoredMessage | None:
        """Locks the next message, of the session if one is given."""
        sequence = self._next(session)
        if sequence is None:
            return None
        message = self.messages[sequence]
        self._lock(message, session)
        return message

    def take(self, session: SessionLock | None = None) -> StoredMessage | None:
        """Removes the next message: receive and delete."""
        sequence = self._next(session)
        return None if sequence is None else self.messages.pop(sequence)

    def _next(self, session: SessionLock | None) -> int | None:
        self.advance()
        return self._lines.take(session.session_id if session else None)

    def acquire_deferred(self, sequences: Iterable[int], session_id: str | None) -> list[StoredMessage]:
        """Locks deferred messages by their numbers, all or none.

        Raises:
            BusError: `com.microsoft:message-not-found`, one is not deferred, is locked, or is in another session;
                `com.microsoft:session-lock-lost`.
        """
        self.advance()
        session = self.sessions.require(session_id) if session_id is not None else None
        found = [self._find_deferred(sequence, session_id) for sequence in sequences]
        for message in found:
            self._lock(message, session)
        return found

    def _find_deferred(self, sequence: int, session_id: str | None) -> StoredMessage:
        message = self.messages.get(sequence)
        if message is None or message.state is not MessageState.DEFERRED or message.lock is not None:
            raise message_not_found(sequence)
        if self.rules.requires_session and message.session_id != session_id:
            raise message_not_found(sequence)
        return message

    def _lock(self, message: StoredMessage, session: SessionLock | None) -> None:
        lock = self._locks.lock(message, session, self.now())
        if session is None:
            self._note(lock.until, DueKind.LOCK_END, lock.token)

    def renew(self, token: UUID) -> float:
        """Prolongs a lock by the lock duration and returns its new end.

        Raises:
            BusError: as `LockTable.renew`.
        """
        self.advance()
        lock = self._locks.renew(token, self.now())
        self._note(lock.until, DueKind.LOCK_END, token)
        return lock.until

    def settle(self, token: UUID, verdict: Verdict) -> None:
        """Does what the receiver decided.

        Raises:
            BusError: as `LockTable.require`.
        """
        self.advance()
        message = self._locks.release(self._locks.require(token))
        match verdict.settlement:
            case Settlement.COMPLETE:
                del self.messages[message.sequence]
            case Settlement.DEAD_LETTER:
                self._give_up(message, verdict.reason, verdict.description)
            case Settlement.DEFER:
                message.state = MessageState.DEFERRED
                message.delivery_count += 1
            case Settlement.ABANDON:
                self._count_failure(message)
            case Settlement.RELEASE:
                self._make_ready(message)

    def accept_session(self, session_id: str | None) -> SessionLock | None:
        """Locks the named session or, with None, the one whose next message waits longest.

        Returns:
            None when no session has anything to deliver.

        Raises:
            BusError: `com.microsoft:session-cannot-be-locked`, another receiver holds the named one.
        """
        self.advance()
        chosen = session_id if session_id is not None else self.sessions.first_free(self._lines.sessions())
        if chosen is None:
            return None
        lock = self.sessions.accept(chosen, self.now())
        self._note(lock.until, DueKind.SESSION_END, chosen)
        return lock

    def renew_session(self, session_id: str) -> float:
        """Prolongs a session lock and returns its new end.

        Raises:
            BusError: `com.microsoft:session-lock-lost`.
        """
        self.advance()
        lock = self.sessions.renew(session_id, self.now())
        self._note(lock.until, DueKind.SESSION_END, session_id)
        return lock.until

    def close_session(self, lock: SessionLock) -> None:
        """Gives a session up. Its messages go back uncounted: a clean close is no failed delivery.

        Source: Microsoft Learn, "Message sessions", the table on delivery counts.
        """
        self.sessions.release(lock)
        for message in self._locks.held_in(lock):
            self._make_ready(self._locks.release(message))
        self._hooks.changed()

    def next_due_at(self) -> float | None:
        """When `advance` next has something to do."""
        return self._agenda.next_at()

    def advance(self) -> None:
        """Does what fell due: activates scheduled messages, ends locks and lives."""
        for due in self._agenda.take_due(self.now()):
            if self._still_holds(due):
                self._handle(due)

    def _handle(self, due: Due) -> None:
        match due.kind, due.key:
            case DueKind.ACTIVATE, int(sequence):
                message = self.messages.pop(sequence)
                message.sequence = next(self._numbers)
                self._activate(message)
            case DueKind.EXPIRE, int(sequence):
                if self.messages[sequence].is_ready():
                    self._expire(self.messages[sequence])
            case DueKind.LOCK_END, UUID() as token:
                self._count_failure(self._locks.release(self._locks.require(token)))
            case DueKind.SESSION_END, str(session_id):
                self._end_session(self.sessions.require(session_id))

    def _still_holds(self, due: Due) -> bool:
        return still_holds(due, self.messages, self._locks, self.sessions)

    def _end_session(self, lock: SessionLock) -> None:
        self.sessions.release(lock)
        for message in self._locks.held_in(lock):
            self._count_failure(self._locks.release(message))
        self._hooks.changed()

    def _count_failure(self, message: StoredMessage) -> None:
        message.delivery_count += 1
        limit = self.rules.max_delivery_count
        if limit is not None and message.delivery_count >= limit:
            reason = f"Message could not be consumed after {limit} delivery attempts."
            self._give_up(message, "MaxDeliveryCountExceeded", reason)
        else:
            self._make_ready(message)

    def _make_ready(self, message: StoredMessage) -> None:
        """Offers an unlocked message again. A deferred one stays deferred; one that outlived its time goes."""
        if message.is_ready() and message.expires_at <= self.now():
            self._expire(message)
        elif message.is_ready():
            self._lines.join(message.session_id if self.rules.requires_session else None, message.sequence)
        self._hooks.changed()

    def _expire(self, message: StoredMessage) -> None:
        if self.rules.dead_letter_on_expiry:
            self._give_up(message, "TTLExpiredException", "The message expired and was dead lettered.")
        else:
            del self.messages[message.sequence]

    def _give_up(self, message: StoredMessage, reason: str | None, description: str | None) -> None:
        del self.messages[message.sequence]
        named = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        given = {key: value for key, value in named.items() if value is not None}
        message.content = message.content.with_application_properties(given)
        if self._hooks.dead_letter is not None:
            self._hooks.dead_letter(message)

    def _note(self, when: float, kind: DueKind, key: str | int | UUID) -> None:
        self._agenda.drop_stale(self._still_holds)
        self._agenda.add(Due(when, kind, key))
        self._hooks.changed()

    def _is_ready(self, sequence: int) -> bool:
        message = self.messages.get(sequence)
        return message is not None and message.is_ready()
