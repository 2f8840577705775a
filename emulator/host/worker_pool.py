"""A pool of identical workers that grows while all are busy and shrinks while several are idle."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator

log = logging.getLogger("host")
_FAILURE_PAUSE_S = 1.0

Work = Callable[["WorkerPool"], Awaitable[None]]


class WorkerPool:
    """Runs between one and `limit` copies of `work`.

    Every copy is expected to wrap what it does for a message in `busy()`, and to end when `may_leave()`
    says so. One idle copy is always left waiting, and one that fails begins again.
    """

    def __init__(self, *, name: str, limit: int, work: Work) -> None:
        self._name = name
        self._limit = limit
        self._work = work
        self._workers: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        # Whoever may leave still closes its link for a while; it must not count as one that is left waiting.
        self._leaving: set[asyncio.Task[None]] = set()
        self._stopping = False

    def start(self) -> None:
        task = asyncio.create_task(self._run(), name=self._name)
        self._workers.add(task)

    async def _run(self) -> None:
        try:
            while not await self._survives():
                await asyncio.sleep(_FAILURE_PAUSE_S)
        finally:
            self._workers.discard(_current())
            self._leaving.discard(_current())

    async def _survives(self) -> bool:
        """Whether the work ended as it should; a queue without any worker would look healthy and serve nothing."""
        try:
            await self._work(self)
        except Exception:
            log.exception("%s: a worker failed", self._name)
            return self._stopping
        return True

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Mark the calling worker busy; adds a worker when no other one is free."""
        task = _current()
        self._leaving.discard(task)
        self._busy.add(task)
        if not self._stopping and self._idle == 0 and len(self._workers) < self._limit:
            self.start()
        try:
            yield
        finally:
            self._busy.discard(task)

    @property
    def stopping(self) -> bool:
        return self._stopping

    def may_leave(self) -> bool:
        """Whether the calling idle worker is one too many; a worker that is told so must leave."""
        self._leaving.discard(_current())
        if not self._stopping and self._idle <= 1:
            return False
        self._leaving.add(_current())
        return True

    @property
    def _idle(self) -> int:
        return len(self._workers) - len(self._busy) - len(self._leaving)

    async def stop(self, *, grace_s: float) -> None:
        """End idle workers now; give busy ones `grace_s` seconds to finish what they hold."""
        self._stopping = True
        for task in self._workers - self._busy:
            task.cancel()
        if self._workers:
            await asyncio.wait(self._workers, timeout=grace_s)
        for task in self._workers:
            task.cancel()


def _current() -> asyncio.Task[None]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a worker runs as a task")
    return task
