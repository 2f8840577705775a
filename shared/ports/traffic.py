"""How much of a bandwidth has been promised to downloads."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from shared.ports.stored import Stored


class TrafficStore(Protocol):
    """Table ``budget``, rows ``traffic``: per scope, from when on nothing of its bandwidth is promised yet."""

    def get(self, scope: str) -> Stored[datetime]:
        """The moment; one long ago with an empty etag where nothing was ever promised.

        Args:
            scope: A campaign's id, or ``fleet``.
        """

    def save(self, scope: str, free_at: Stored[datetime]) -> None:
        """Write it if nobody else has since it was read; an empty etag means the row must be new.

        Raises:
            ConcurrentChange: Somebody has.
        """
