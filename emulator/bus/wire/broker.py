"""What all connections share: the store, the keys, and the moments at which something happens by itself."""

import asyncio

from emulator.bus.sas import SasVerifier
from emulator.bus.store.queue import MessageQueue
from emulator.bus.store.store import BusStore
from emulator.bus.wire.dispatch import Dispatcher


class Broker:
    """Runs a queue's dispatcher after the queue changed or something in it fell due.

    Attributes:
        store: the queues.
        verifier: checks tokens.
        loop: where everything runs.
    """

    def __init__(self, store: BusStore, verifier: SasVerifier) -> None:
        self.store = store
        self.verifier = verifier
        self.loop = asyncio.get_running_loop()
        self._dispatchers: dict[MessageQueue, Dispatcher] = {}
        self._changed: set[MessageQueue] = set()
        self._alarm: asyncio.TimerHandle | None = None
        store.on_change = self._on_change
        self._arm(store.next_due_at())

    def dispatcher(self, queue: MessageQueue) -> Dispatcher:
        """The dispatcher of a queue."""
        return self._dispatchers.setdefault(queue, Dispatcher(queue))

    def wake_all(self) -> None:
        """Runs every dispatcher soon: a client that held back can be sent more."""
        for queue in self._dispatchers:
            self._on_change(queue)

    def stop(self) -> None:
        """Stops listening to the store."""
        self.store.on_change = lambda _: None
        if self._alarm is not None:
            self._alarm.cancel()

    def _on_change(self, queue: MessageQueue) -> None:
        if not self._changed:
            self.loop.call_soon(self._run_changed)
        self._changed.add(queue)

    def _run_changed(self) -> None:
        changed, self._changed = self._changed, set()
        for queue in changed:
            self.dispatcher(queue).run()
            self._arm(queue.next_due_at())

    def _arm(self, due_at: float | None) -> None:
        """Sets the alarm earlier, never later: an alarm for nothing costs little."""
        if due_at is None:
            return
        at = self.loop.time() + max(0.0, due_at - self.store.now())
        if self._alarm is None or self._alarm.cancelled() or at < self._alarm.when():
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = self.loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.store.advance()
        self._arm(self.store.next_due_at())
