"""What falls due, and when."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class DueKind(StrEnum):
    """What may fall due."""

    ACTIVATE = "activate"
    LOCK_END = "lock end"
    SESSION_END = "session end"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """One entry: what happens to which message, lock or session.

    An entry is never taken back. Whoever handles it looks whether it still holds, as a lock may have been
    renewed or released since.
    """

    when: float
    kind: DueKind
    key: str | int | UUID


class Agenda:
    """Entries ordered by time."""

    __slots__ = ("_compact_at", "_entries")

    _SLACK = 1024

    def __init__(self) -> None:
        self._entries: list[Due] = []
        self._compact_at = self._SLACK

    def add(self, due: Due) -> None:
        """Notes an entry."""
        heapq.heappush(self._entries, due)

    def next_at(self) -> float | None:
        """When the next entry falls due."""
        return self._entries[0].when if self._entries else None

    def take_due(self, now: float) -> Iterator[Due]:
        """Removes and yields what is due, earliest first."""
        while self._entries and self._entries[0].when <= now:
            yield heapq.heappop(self._entries)

    def drop_stale(self, holds: Callable[[Due], bool]) -> None:
        """Forgets entries that no longer hold, once they have piled up."""
        if len(self._entries) < self._compact_at:
            return
        self._entries = [entry for entry in self._entries if holds(entry)]
        heapq.heapify(self._entries)
        self._compact_at = 2 * len(self._entries) + self._SLACK
