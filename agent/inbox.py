"""The worker's queue: SDK callbacks and signals put events in, on whatever thread; one worker takes them out."""

from __future__ import annotations

import queue
import time

from agent.ports import Event, StopRequested


class Inbox:
    """Events in order of arrival, and whether a stop is among them."""

    def __init__(self) -> None:
        # SimpleQueue, because a signal handler puts into it while the same thread may be taking from it.
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._first: list[Event] = []
        self.is_stopping = False

    def put(self, event: Event) -> None:
        """Add an event; safe on any thread and in a signal handler."""
        self._events.put(event)

    def take_all(self) -> list[Event]:
        """All events there are, without waiting."""
        events, self._first = self._first, []
        while True:
            try:
                events.append(self._note(self._events.get_nowait()))
            except queue.Empty:
                return events

    def wait(self, timeout_s: float) -> None:
        """Wait until there is an event, or that long."""
        deadline = time.monotonic() + timeout_s
        if not self._first:
            try:
                self._first.append(self._note(self._events.get(timeout=max(0.0, deadline - time.monotonic()))))
            except queue.Empty:
                return

    def _note(self, event: Event) -> Event:
        self.is_stopping = self.is_stopping or isinstance(event, StopRequested)
        return event
