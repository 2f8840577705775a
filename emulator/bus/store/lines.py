"""Who is next: deliverable messages, one line per session."""

import heapq
from collections.abc import Callable


class ReadyLines:
    """Lines of sequence numbers, lowest first; the line None is that of messages without a session.

    A number stays in its line when its message expires or goes away. `is_ready` sorts that out.
    """

    __slots__ = ("_is_ready", "_lines")

    def __init__(self, is_ready: Callable[[int], bool]) -> None:
        self._is_ready = is_ready
        self._lines: dict[str | None, list[int]] = {}

    def join(self, line: str | None, sequence: int) -> None:
        """Adds a number to its line."""
        heapq.heappush(self._lines.setdefault(line, []), sequence)

    def head(self, line: str | None) -> int | None:
        """The next number of a line, left in place."""
        waiting = self._lines.get(line, [])
        while waiting and not self._is_ready(waiting[0]):
            heapq.heappop(waiting)
        if not waiting:
            self._lines.pop(line, None)
            return None
        return waiting[0]

    def take(self, line: str | None) -> int | None:
        """Removes and returns the next number of a line."""
        sequence = self.head(line)
        if sequence is not None:
            heapq.heappop(self._lines[line])
        return sequence

    def sessions(self) -> list[str]:
        """Sessions with something to deliver, the one waiting longest first."""
        heads = [(head, line) for line in list(self._lines) if line is not None and (head := self.head(line))]
        return [line for _, line in sorted(heads)]
