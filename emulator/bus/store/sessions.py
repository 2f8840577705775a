"""Session locks and session state."""

from collections.abc import Iterable

from emulator.bus.errors import BusError, Condition
from emulator.bus.store.message import SessionLock


class SessionBook:
    """Who holds which session, and what was stored with it.

    Attributes:
        states: session id to state bytes.
    """

    __slots__ = ("_lock_s", "_locks", "_updated_at", "states")

    def __init__(self, lock_s: float) -> None:
        self._lock_s = lock_s
        self._locks: dict[str, SessionLock] = {}
        self._updated_at: dict[str, float] = {}
        self.states: dict[str, bytes] = {}

    def accept(self, session_id: str, now: float) -> SessionLock:
        """Locks a session.

        Raises:
            BusError: `com.microsoft:session-cannot-be-locked`, another receiver holds it.
        """
        if session_id in self._locks:
            raise BusError(Condition.SESSION_CANNOT_BE_LOCKED, f"Another receiver holds the session '{session_id}'.")
        lock = SessionLock(session_id=session_id, until=now + self._lock_s)
        self._locks[session_id] = lock
        return lock

    def first_free(self, session_ids: Iterable[str]) -> str | None:
        """The first of the sessions that nobody holds."""
        return next((found for found in session_ids if found not in self._locks), None)

    def holds(self, lock: SessionLock) -> bool:
        """Whether this very lock is still in force."""
        return self._locks.get(lock.session_id) is lock

    def find(self, session_id: str) -> SessionLock | None:
        """The lock on a session, if any."""
        return self._locks.get(session_id)

    def require(self, session_id: str) -> SessionLock:
        """The lock on a session.

        Raises:
            BusError: `com.microsoft:session-lock-lost`, nobody holds it.
        """
        lock = self._locks.get(session_id)
        if lock is None:
            raise BusError(Condition.SESSION_LOCK_LOST, f"The lock on the session '{session_id}' has expired.")
        return lock

    def renew(self, session_id: str, now: float) -> SessionLock:
        """Prolongs a held lock by the lock duration.

        Raises:
            BusError: `com.microsoft:session-lock-lost`.
        """
        lock = self.require(session_id)
        lock.until = now + self._lock_s
        return lock

    def release(self, lock: SessionLock) -> None:
        """Gives a session up; a lock already lost is left alone."""
        if self.holds(lock):
            del self._locks[lock.session_id]

    def write_state(self, session_id: str, state: bytes | None, now: float) -> None:
        """Stores or, with None, clears the state of a held session.

        Raises:
            BusError: `com.microsoft:session-lock-lost`.
        """
        self.require(session_id)
        self._updated_at[session_id] = now
        if state is None:
            self.states.pop(session_id, None)
        else:
            self.states[session_id] = state

    def updated_since(self, moment: float) -> list[str]:
        """Sessions whose state was written after the moment."""
        return sorted(session for session, when in self._updated_at.items() if when > moment)
