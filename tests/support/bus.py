"""A bus beside the test, and SDK clients that stay open for a whole module.

Opening a blocking sender or receiver takes the SDK half a second and closing it a whole one, so they are opened
once, when first needed, and closed all together.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver, ServiceBusSender

from emulator.bus import BusServer, NamespaceConfig, QueueConfig
from emulator.bus.store.store import QueueCounts

KEY_NAME = "RootManageSharedAccessKey"


class BusThread:
    """A bus in an event loop of its own, for tests that block."""

    def __init__(self, *queues: QueueConfig, idle_timeout_s: float = 240.0) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server = BusServer(
            config=NamespaceConfig(queues=queues),
            key_name=KEY_NAME,
            key=secrets.token_urlsafe(32),
            idle_timeout_s=idle_timeout_s,
        )

    def start(self) -> None:
        """Listens, on the same port as before if it did before."""
        asyncio.run_coroutine_threadsafe(self.server.start(), self._loop).result(10)

    def stop(self) -> None:
        """Drops all connections and stops listening."""
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result(10)

    def finish(self) -> None:
        """Stops for good."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def look[T](self, at: Callable[[BusServer], T]) -> T:
        """Evaluates something inside the bus' event loop."""

        async def inside() -> T:
            return at(self.server)

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(10)

    def counts(self, queue: str) -> QueueCounts:
        """What is in a queue now."""
        return self.look(lambda server: server.store.counts()[queue])


@contextmanager
def running_bus(*queues: QueueConfig, idle_timeout_s: float = 240.0) -> Iterator[BusThread]:
    """A bus that listens on an ephemeral port."""
    bus = BusThread(*queues, idle_timeout_s=idle_timeout_s)
    bus.start()
    try:
        yield bus
    finally:
        bus.finish()


class Doors:
    """Senders and receivers of one client, opened when first asked for."""

    def __init__(self, client: ServiceBusClient) -> None:
        self.client = client
        self._senders: dict[str, ServiceBusSender] = {}
        self._receivers: dict[tuple[str, str], ServiceBusReceiver] = {}
        self._sessions: list[ServiceBusReceiver] = []

    def sender(self, queue: str) -> ServiceBusSender:
        """The sender of a queue."""
        if queue not in self._senders:
            self._senders[queue] = self.client.get_queue_sender(queue)
        return self._senders[queue]

    def receiver(self, queue: str, **options: Any) -> ServiceBusReceiver:
        """The receiver of a queue with these options."""
        key = (queue, repr(sorted(options.items())))
        if key not in self._receivers:
            self._receivers[key] = self.client.get_queue_receiver(queue, **options)
        return self._receivers[key]

    def session(self, queue: str, session_id: Any, **options: Any) -> ServiceBusReceiver:
        """A receiver that holds a session of a queue until the module ends, or its lock expires."""
        receiver = self.client.get_queue_receiver(queue, session_id=session_id, **options)
        self._sessions.append(receiver)
        return receiver.__enter__()

    def close(self) -> None:
        """Closes everything at once."""
        handlers = [*self._senders.values(), *self._receivers.values(), *self._sessions]
        with ThreadPoolExecutor(max(1, len(handlers))) as pool:
            list(pool.map(lambda handler: handler.close(), handlers))
        self.client.close()


@contextmanager
def open_doors(bus: BusThread) -> Iterator[Doors]:
    """Doors to a bus. Nothing is retried, so that an error shows at once."""
    client = ServiceBusClient.from_connection_string(bus.server.connection_string, retry_total=0)
    doors = Doors(client)
    try:
        yield doors
    finally:
        doors.close()


def receive_one(receiver: ServiceBusReceiver, wait_s: float = 5) -> ServiceBusReceivedMessage:
    """The next message; there must be one."""
    found = receiver.receive_messages(1, max_wait_time=wait_s)
    assert found, "no message came"
    return found[0]


def text_of(message: ServiceBusReceivedMessage) -> str:
    """The body as text."""
    return str(message)
