"""Keeps a storage queue's message hidden while its blob is worked on."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from azure.core.exceptions import AzureError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

log = logging.getLogger("host.blob")


@contextlib.asynccontextmanager
async def hidden(queue: QueueClient, message: QueueMessage, *, visibility_s: float) -> AsyncIterator[None]:
    """Renew the message's visibility timeout at half time, for as long as the block lasts.

    A renewal under way at the end of the block is waited for: each one makes the earlier pop receipt worthless, so
    that a cancelled one could leave the message without any receipt to settle it with.
    """
    over = asyncio.Event()
    renewal = asyncio.create_task(_renew_until(over, queue, message, visibility_s))
    try:
        yield
    finally:
        over.set()
        await renewal


async def _renew_until(over: asyncio.Event, queue: QueueClient, message: QueueMessage, visibility_s: float) -> None:
    while not await _happens(over, within_s=visibility_s / 2):
        try:
            renewed = await queue.update_message(message, visibility_timeout=int(visibility_s))
            message.pop_receipt = renewed.pop_receipt
        except AzureError as error:
            # It appears again and another execution takes it; functions have to bear that.
            log.warning("message %s is not kept hidden: %s", message.id, error)


async def _happens(event: asyncio.Event, *, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), within_s)
    return event.is_set()
