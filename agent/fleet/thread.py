"""A fleet for callers that are not asynchronous: its event loop on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from agent.fleet.fleet import SimulatedFleet
from shared.domain.ids import DeviceId


class FleetThread:
    """``with FleetThread(fleet):`` connects the fleet and ends it on leaving; what it tells may be read at any time."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        self._fleet = fleet
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="fleet", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @property
    def states(self) -> dict[DeviceId, str]:
        """As ``SimulatedFleet.states``."""
        return self._fleet.states

    def installed(self, device: DeviceId) -> dict[str, str]:
        """As ``SimulatedFleet.installed``."""
        return self._fleet.installed(device)

    def occur(self, event: str) -> None:
        """As ``SimulatedFleet.occur``, on any thread."""
        self._in_loop(lambda: self._fleet.occur(event))

    def regress(self, device: DeviceId) -> None:
        """As ``SimulatedFleet.regress``, on any thread."""
        self._in_loop(lambda: self._fleet.regress(device))

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            raise RuntimeError("the fleet has not started")
        self._loop.call_soon_threadsafe(call)

    async def _live(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self._fleet:
                self._started.set_result(None)
                await self._end.wait()
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)
