"""Duplicate detection by message id."""

from collections import OrderedDict


class DuplicateHistory:
    """Message ids seen within a window of time.

    Only the id counts, not the session: on a queue without partitions Service Bus compares nothing else
    (Microsoft Learn, "Duplicate detection").
    """

    __slots__ = ("_seen", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._seen: OrderedDict[str, float] = OrderedDict()

    def is_duplicate(self, message_id: str | None, now: float) -> bool:
        """Whether the id was seen within the window; notes it otherwise."""
        self._forget(now - self._window_s)
        if message_id is None:
            return False
        if message_id in self._seen:
            return True
        self._seen[message_id] = now
        return False

    def _forget(self, before: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest] > before:
                return
            del self._seen[oldest]
