"""``tuf.ngclient`` as the agent uses it: judged by reference time, along any number of roots, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import requests
from tuf.api.exceptions import DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from agent.adapters.reference_time import ReferenceTime

_PIECE_BYTES = 1 << 16

MAX_ROOT_ROTATIONS = 1 << 20
"""Each root must be signed by the one before it, so nobody but the owners can make the way longer; ngclient's own 256
would leave a device behind that was off for longer than so many of them."""

SLOWEST_FILE_S = 300.0
"""No metadata file may take longer: each has at most 5 MB, and a server could trickle it for ever."""


class IndexPaused(DownloadHTTPError):
    """The server asks to come back later.

    Attributes:
        retry_after: Its ``Retry-After`` header, where it sent one.
    """

    def __init__(self, message: str, status_code: int, retry_after: str | None) -> None:
        super().__init__(message, status_code)
        self.retry_after = retry_after


class RequestsFetcher(FetcherInterface):
    """Fetches metadata over the agent's own HTTP session, so that it trusts the same authorities."""

    def __init__(self, http: requests.Session, timeout_s: float, slowest_s: float = SLOWEST_FILE_S) -> None:
        self._http = http
        self._timeout_s = timeout_s
        self._slowest_s = slowest_s

    def _fetch(self, url: str) -> Iterator[bytes]:
        deadline = time.monotonic() + self._slowest_s
        response = self._http.get(url, stream=True, timeout=self._timeout_s)
        if response.status_code >= 400:
            response.close()
            told = f"{url} answered {response.status_code}"
            raise IndexPaused(told, response.status_code, response.headers.get("Retry-After"))
        return self._pieces(response, deadline)

    @staticmethod
    def _pieces(response: requests.Response, deadline: float) -> Iterator[bytes]:
        with response:
            # Whatever has arrived, and not only full pieces: a trickle must come to the deadline.
            for piece in response.raw.stream(_PIECE_BYTES, decode_content=True):
                if time.monotonic() > deadline:
                    raise SlowRetrievalError(f"{response.url} was too slow")
                yield piece


class ReferenceUpdater(Updater):
    """An updater that believes the reference time.

    tuf 7.0.1 takes the machine's time when it is made, and looks at it only after the root was brought up to date. The
    one override below puts the reference time in its place; ``test_reference_time`` fails should tuf change this.
    """

    def __init__(self, folder: Path, base_url: str, *, fetcher: FetcherInterface, root: bytes, time_: ReferenceTime):
        self._time = time_
        config = UpdaterConfig(max_root_rotations=MAX_ROOT_ROTATIONS)
        super().__init__(str(folder), base_url, fetcher=fetcher, config=config, bootstrap=root)

    def refresh(self) -> None:
        """Bring the top-level roles up to date, and remember when the timestamp was issued."""
        super().refresh()
        self._time.learn(self._trusted_set.root, self._trusted_set.timestamp)

    def _load_root(self) -> None:
        super()._load_root()
        self._trusted_set.reference_time = self._time.under(self._trusted_set.root)
