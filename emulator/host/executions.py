"""Executions that outlive the loop that began them, so that a stopping host ends its intake first."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Executions:
    """What is under way on behalf of triggers whose own loops may be cancelled at any moment."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start work that nobody has to wait for; it has to bear its own errors."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def complete(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for work that goes on to its end even when the caller is cancelled."""
        await asyncio.shield(self.begin(work))

    async def finish(self, *, grace_s: float) -> None:
        """Wait up to `grace_s` seconds for all that is under way, then cancel the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
