"""Whose intents and artifacts are believed, as the newest verified index says, remembered for a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from shared.domain.errors import TrustError
from shared.handlers.index_writing import IndexWriter
from shared.ports.errors import NotThere, Unavailable
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
            Unavailable: The index is not there, not whole or not to be believed; whoever asked must ask again later.
            PortError: The index cannot be read.
        """
        with self._lock:
            if self._known is None or self._clock() >= self._fresh_until:
                self._known = self._read()
                self._fresh_until = self._clock() + FRESH_S
            return self._known

    def _read(self) -> Authorities:
        try:
            return self._writer.open().value.authorities
        except (TrustError, NotThere) as error:
            # An artifact or an offer is not to blame for it, and must neither be refused nor parked; nor is it the
            # artifact that is not there.
            raise Unavailable(f"nobody knows whose signatures count, because of the index: {error}") from error
