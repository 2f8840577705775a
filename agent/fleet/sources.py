"""What the devices of a fleet share: one verified index, and one look at each content."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote

import aiohttp

from agent.codes import Code
from agent.decisions import IndexView
from agent.exchange import TICKET_HEADER, read_exchange
from agent.ports import IndexClient, TransferBroken, TransferRefused
from agent.selftest import TelltaleFinder
from shared.domain.packages import Package

_PIECE_BYTES = 1 << 16


class SharedIndex:
    """An index client whose answers hold for a few seconds, so that a wave of devices costs one refresh."""

    def __init__(self, client: IndexClient, *, fresh_s: float) -> None:
        self._client = client
        self._fresh_s = fresh_s
        self._lock = asyncio.Lock()
        self._views: dict[str, tuple[float, IndexView]] = {}

    async def look_up(self, path: str) -> IndexView:
        """The index's word on a package. Raises as ``agent.ports.IndexClient.look_up``."""
        async with self._lock:
            known = self._views.get(path)
            if known is not None and time.monotonic() - known[0] < self._fresh_s:
                return known[1]
            view = await asyncio.to_thread(self._client.look_up, path)
            self._views[path] = (time.monotonic(), view)
            return view


class Fetching(StrEnum):
    """How much of a content's bytes move. Every device exchanges its ticket in any case.

    ``every_device`` fetches all; ``once`` lets the first device fetch for all others.
    """

    EVERY_DEVICE = "every_device"
    ONCE = "once"


class SharedContents:
    """Exchanges tickets and fetches contents, verified while they stream and kept by nobody."""

    def __init__(self, http: aiohttp.ClientSession, service_url: str, fetching: Fetching) -> None:
        self._http = http
        self._service_url = service_url.rstrip("/")
        self._fetching = fetching
        self._verdicts: dict[str, bool] = {}
        self._lock = asyncio.Lock()

    async def fetch(self, package: Package, ticket: str) -> bool:
        """Whether the content holds the self-test's telltale, once it proved to be the signed one.

        Raises:
            TransferBroken, TransferPaused, TransferCancelled, TransferRefused: As ``agent.ports.Transfer``.
        """
        try:
            url = await self._exchange(package, ticket)
            if self._fetching is Fetching.EVERY_DEVICE:
                return await self._stream(url, package)
            async with self._lock:
                if package.sha256 not in self._verdicts:
                    self._verdicts[package.sha256] = await self._stream(url, package)
            return self._verdicts[package.sha256]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransferBroken(type(error).__name__) from error

    async def _exchange(self, package: Package, ticket: str) -> str:
        url = f"{self._service_url}/downloads/{quote(package.path)}"
        async with self._http.get(url, headers={TICKET_HEADER: ticket}, allow_redirects=False) as answer:
            return read_exchange(
                url,
                answer.status,
                location=answer.headers.get("Location"),
                retry_after=answer.headers.get("Retry-After"),
                now=datetime.now(UTC),
            )

    async def _stream(self, url: str, package: Package) -> bool:
        digest, finder, size_bytes = hashlib.sha256(), TelltaleFinder(), 0
        async with self._http.get(url, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.status != 200:
                raise TransferBroken(f"the storage answered {answer.status}")
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                size_bytes += len(piece)
                digest.update(piece)
                finder.feed(piece)
                _check(size_bytes <= package.length_bytes)
        _check(size_bytes == package.length_bytes and digest.hexdigest() == package.sha256)
        return finder.is_found


def _check(is_signed: bool) -> None:
    if not is_signed:
        raise TransferRefused(Code.DIGEST_MISMATCH, "the content is not the signed one")
