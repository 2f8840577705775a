"""Whose intents and artifacts are believed, as the newest verified index says, remembered for a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from shared.domain.errors import TrustError
from shared.handlers.index_writing import IndexWriter
from shared.ports.errors import Unavailable
from shared.trust.authorities import Authorities

FRESH_S = 60.0
"""A key that its owners revoke is believed this much longer by the service; devices ask the index each time."""


class KnownAuthorities:
    """Reads the index at most once a minute, however many artifacts and device batches ask."""

    def __init__(self, writer: IndexWriter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._clock = clock
        self._lock = Lock()
        self._known: Authorities | None = None
        self._fresh_until = 0.0

    def get(self) -> Authorities:
        """The authorities.

        Raises:
            PortError: The index cannot be read, or must not be believed; whoever asked must ask again later.
        """
        with self._lock:
            if self._known is None or self._clock() >= self._fresh_until:
                self._known = self._read()
                self._fresh_until = self._clock() + FRESH_S
            return self._known

    def _read(self) -> Authorities:
        try:
            return self._writer.open().value.authorities
        except TrustError as error:
            # An artifact or an offer is not to blame for it, and must neither be refused nor parked.
            raise Unavailable(error.message) from error
