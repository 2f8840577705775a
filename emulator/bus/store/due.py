"""Whether what was noted in the agenda still holds."""

from collections.abc import Container
from uuid import UUID

from emulator.bus.store.agenda import Due, DueKind
from emulator.bus.store.locks import LockTable
from emulator.bus.store.sessions import SessionBook


def still_holds(due: Due, messages: Container[int], locks: LockTable, sessions: SessionBook) -> bool:
    """Whether an entry concerns a message that is still there, or a lock that was not prolonged since."""
    match due.kind, due.key:
        case DueKind.ACTIVATE | DueKind.EXPIRE, int(sequence):
            return sequence in messages
        case DueKind.LOCK_END, UUID() as token:
            locked = locks.find(token)
            return locked is not None and locked.lock is not None and locked.lock.until <= due.when
        case DueKind.SESSION_END, str(session_id):
            session = sessions.find(session_id)
            return session is not None and session.until <= due.when
    return False
