"""What the functions host does when a part of it fails or is told to stop in the middle of something."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from emulator.host.blob_lease import hidden
from emulator.host.executions import Executions
from emulator.host.functions_host import TriggerDiedError, watch


class SlowQueue:
    """A storage queue that answers a renewal only when told to; its new pop receipt is in force before that."""

    def __init__(self) -> None:
        self.receipt = "first"
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def update_message(self, message: Any, **_: Any) -> Any:
        assert message.pop_receipt == self.receipt
        self.receipt = "second"
        self.asked.set()
        await self.answer.wait()
        return SimpleNamespace(pop_receipt=self.receipt)


def test_a_renewal_under_way_is_waited_for_so_that_the_receipt_is_known() -> None:
    async def story() -> None:
        queue: Any = SlowQueue()
        message: Any = SimpleNamespace(id="1", pop_receipt="first")
        async with hidden(queue, message, visibility_s=0.01):
            await queue.asked.wait()
            asyncio.get_running_loop().call_later(0.05, queue.answer.set)
        assert message.pop_receipt == queue.receipt == "second"

    asyncio.run(story())


def test_a_trigger_that_ends_by_itself_is_noticed_with_its_cause() -> None:
    async def die() -> None:
        raise ValueError("a bug")

    async def story() -> None:
        loops = [asyncio.create_task(asyncio.Event().wait()), asyncio.create_task(die())]  # type: ignore[list-item]
        with pytest.raises(TriggerDiedError) as died:
            await watch(loops)  # type: ignore[arg-type]
        assert isinstance(died.value.__cause__, ValueError)
        loops[0].cancel()

    asyncio.run(story())


def test_what_runs_is_completed_though_its_loop_is_cancelled() -> None:
    async def story() -> None:
        executions, go_on, done = Executions(), asyncio.Event(), asyncio.Event()

        async def work() -> None:
            await go_on.wait()
            done.set()

        loop = asyncio.create_task(executions.complete(work()))
        await asyncio.sleep(0)
        loop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loop
        asyncio.get_running_loop().call_later(0.02, go_on.set)
        await executions.finish(grace_s=10)
        assert done.is_set()

    asyncio.run(story())


def test_what_outlives_the_grace_is_cancelled() -> None:
    async def story() -> None:
        executions = Executions()
        task = executions.begin(forever())
        await executions.finish(grace_s=0.01)
        assert task.cancelled()

    async def forever() -> None:
        await asyncio.Event().wait()

    asyncio.run(story())
