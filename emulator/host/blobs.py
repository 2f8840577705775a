"""Blob triggers: events become messages in a storage queue, which counts the attempts.

As in Azure's extension the queue is what survives: a blob uploaded while no host runs waits there, a
failed or killed execution comes back, and after `poisonBlobThreshold` attempts it goes to the poison queue.
"""

import asyncio
import logging
from collections.abc import Mapping

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue import QueueMessage

from emulator.host.blob_binding import read_blob_trigger
from emulator.host.blob_lease import hidden
from emulator.host.blob_messages import (
    POISON_QUEUE,
    BlobMessage,
    BlobPath,
    queue_of,
    read_blob_event,
)
from emulator.host.executions import Executions
from emulator.host.functions import Function
from emulator.host.host_json import HostOptions
from emulator.host.invoker import Call, Invoker
from emulator.host.signals import BlobSignal
from emulator.host.storage_queues import make_queue, open_queue
from emulator.names import EVENTS_QUEUE

log = logging.getLogger("host.blob")
_MOST_AT_ONCE = 32  # Get Messages returns no more


class BlobTriggers:
    """Drives all blob functions of an app.

    Args:
        functions: enabled functions with a blob trigger.
        connections: fields of each function's connection, by function name.
        options: host.json.
        signal: tells when the queue is worth a look.
        visibility_s: how long a message stays hidden from the next host after this one died with it.
        executions: where executions run on when `run` is cancelled.
    """

    def __init__(
        self,
        functions: list[Function],
        *,
        connections: Mapping[str, dict[str, str]],
        options: HostOptions,
        invoker: Invoker,
        signal: BlobSignal,
        visibility_s: int,
        executions: Executions,
    ) -> None:
        self._paths = {function.name: BlobPath(function.trigger.text("path")) for function in functions}
        self._events = open_queue(connections[functions[0].name], EVENTS_QUEUE)
        self._signal = signal
        self._listeners = {
            function.name: BlobListener(
                function,
                connection=connections[function.name],
                options=options,
                invoker=invoker,
                visibility_s=visibility_s,
                executions=executions,
            )
            for function in functions
        }

    async def run(self) -> None:
        """Move events to the functions' queues and execute them, for ever; cancel to end."""
        async with asyncio.TaskGroup() as tasks:
            for listener in self._listeners.values():
                tasks.create_task(listener.run())
            tasks.create_task(self._route())

    async def _route(self) -> None:
        while True:
            try:
                await self._route_waiting()
            except AzureError as error:
                log.warning("blob events: %s", error)
            await self._signal.wait()

    async def _route_waiting(self) -> None:
        async for message in self._events.receive_messages(messages_per_page=_MOST_AT_ONCE):
            try:
                container, blob, etag = read_blob_event(message.content)
            except (ValueError, KeyError, TypeError) as error:
                log.error("not a blob event: %s: %s", error, message.content)
            else:
                await self._put(container, blob, etag)
            await self._events.delete_message(message)

    async def _put(self, container: str, blob: str, etag: str) -> None:
        for name, path in self._paths.items():
            if path.match(container, blob) is not None:
                await self._listeners[name].put(container, blob, etag)


class BlobListener:
    """Executes one blob function for what lies in its queue."""

    def __init__(
        self,
        function: Function,
        *,
        connection: dict[str, str],
        options: HostOptions,
        invoker: Invoker,
        visibility_s: int,
        executions: Executions,
    ) -> None:
        self._function = function
        self._path = BlobPath(function.trigger.text("path"))
        self._queue = open_queue(connection, queue_of(function.name))
        self._poison = open_queue(connection, POISON_QUEUE)
        self._blobs = open_blobs(connection)
        self._threshold = options.poison_blob_threshold
        self._slots = asyncio.Semaphore(options.blob_parallelism)
        self._invoker = invoker
        self._visibility_s = visibility_s
        self._executions = executions
        self._news = asyncio.Event()

    async def put(self, container: str, blob: str, etag: str) -> None:
        """Queue a blob for the function."""
        message = BlobMessage(function_name=self._function.name, container=container, blob=blob, etag=etag)
        await self._queue.send_message(message.to_json())
        self._news.set()

    async def run(self) -> None:
        """Execute for ever; cancel to take nothing more."""
        ready = False
        while True:
            self._news.clear()
            try:
                if not ready:
                    await self._make_queues()
                    ready = True
                await self._start_waiting()
            except AzureError as error:
                log.warning("%s: %s", self._function.name, error)
            await self._wait_for_news()

    async def _make_queues(self) -> None:
        for queue in (self._queue, self._poison):
            await make_queue(queue)

    async def _wait_for_news(self) -> None:
        # What a killed host held appears without notice, when its visibility timeout ends.
        try:
            async with asyncio.timeout(1.0):
                await self._news.wait()
        except TimeoutError:
            return

    async def _start_waiting(self) -> None:
        while True:
            await self._slots.acquire()
            message = None
            try:
                message = await self._receive()
            finally:
                if message is None:
                    self._slots.release()
            if message is None:
                return
            self._executions.begin(self._execute(message))

    async def _receive(self) -> QueueMessage | None:
        return await self._queue.receive_message(visibility_timeout=self._visibility_s)

    async def _execute(self, message: QueueMessage) -> None:
        """Attempt and settle; whatever goes wrong concerns this message alone, which appears again by itself."""
        try:
            async with hidden(self._queue, message, visibility_s=self._visibility_s):
                done = await self._attempt(message)
            await self._finish(message, done)
        except Exception:
            log.exception("%s: %s comes again", self._function.name, message.id)
        finally:
            self._slots.release()
            self._news.set()

    async def _attempt(self, message: QueueMessage) -> bool:
        """Run the function once; a blob that is gone needs no execution."""
        if (message.dequeue_count or 1) > self._threshold:
            return False
        waiting = BlobMessage.from_json(message.content)
        parameters = self._path.match(waiting.container, waiting.blob) or {}
        try:
            value, metadata = await read_blob_trigger(
                self._blobs.get_blob_client(waiting.container, waiting.blob),
                self._function.trigger,
                parameters,
            )
        except ResourceNotFoundError:
            log.info("%s: %s/%s is gone", self._function.name, waiting.container, waiting.blob)
            return True
        outcome = await self._invoker.invoke(self._function, Call(trigger=value, metadata=metadata))
        return outcome.succeeded

    async def _finish(self, message: QueueMessage, done: bool) -> None:
        if not done and (message.dequeue_count or 1) < self._threshold:
            await self._queue.update_message(message, visibility_timeout=0)
            return
        if not done:
            log.error("%s: moved to %s: %s", self._function.name, POISON_QUEUE, message.content)
            await self._poison.send_message(message.content)
        await self._queue.delete_message(message)


def open_blobs(connection: dict[str, str]) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(connection["connectionString"])
