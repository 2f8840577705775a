"""The functions host keeps one worker waiting for each queue, however long nothing comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from emulator.host.worker_pool import WorkerPool

WORKERS = 3
TIMEOUT_S = 5.0


class Idlers:
    """Workers that are all busy, then all idle at once, and take a while to leave."""

    def __init__(self) -> None:
        self.started = 0
        self.stayed: list[bool] = []
        self.gone = asyncio.Event()
        self.more = asyncio.Semaphore(0)
        self._together = asyncio.Barrier(WORKERS)
        self.pool = WorkerPool(name="idlers", limit=WORKERS, work=self._work)

    async def _work(self, pool: WorkerPool) -> None:
        self.started += 1
        if self.started <= WORKERS:
            with pool.busy():
                await self._together.wait()
            await self._together.wait()
        self.stayed.append(not pool.may_leave())
        if self.stayed[-1]:
            await self.more.acquire()
            with pool.busy():
                await asyncio.Event().wait()
        await self.gone.wait()


async def reach(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0)


def test_of_workers_that_grow_idle_together_one_stays() -> None:
    async def scenario() -> None:
        idlers = Idlers()
        idlers.pool.start()
        await reach(lambda: len(idlers.stayed) == WORKERS)
        assert idlers.stayed.count(True) == 1
        await idlers.pool.stop(grace_s=0)

    asyncio.run(scenario())


def test_the_one_that_stayed_is_joined_by_another_when_there_is_work() -> None:
    async def scenario() -> None:
        idlers = Idlers()
        idlers.pool.start()
        await reach(lambda: len(idlers.stayed) == WORKERS)
        idlers.gone.set()
        await asyncio.sleep(0)
        idlers.more.release()
        await reach(lambda: idlers.started == WORKERS + 1)
        await idlers.pool.stop(grace_s=0)

    asyncio.run(scenario())
