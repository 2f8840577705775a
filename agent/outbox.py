"""Sending the report that is not yet accepted: now, later, and after any number of restarts."""

from __future__ import annotations

import logging
import random
from dataclasses import replace

from agent.backoff import Backoff
from agent.notebook import Notebook
from agent.ports import ChannelDown, ChannelRefused, ChannelThrottled, Clock, TwinChannel
from agent.session import Session

log = logging.getLogger(__name__)


class Outbox:
    """Holds at most one report, the newest; an older one that was never accepted is of no use to anybody."""

    def __init__(
        self, notebook: Notebook, channel: TwinChannel, session: Session, clock: Clock, backoff: Backoff
    ) -> None:
        self._notebook = notebook
        self._channel = channel
        self._session = session
        self._clock = clock
        self._backoff = backoff
        self._failures = 0
        self._retry_at_s = 0.0

    @property
    def due_at_s(self) -> float | None:
        """When the next attempt is due on the monotonic clock; None where there is nothing to send."""
        return None if self._notebook.memory.unsent is None else self._retry_at_s

    def flush(self) -> None:
        """Send what is unsent, if the hub is there and it is time."""
        unsent = self._notebook.memory.unsent
        if unsent is None or not self._session.is_open or self._clock.monotonic_s() < self._retry_at_s:
            return
        try:
            self._channel.report(unsent)
        except ChannelRefused as error:
            # Sent again it would be refused again, before every report that comes after it.
            log.error("the hub refused a report for good: %s", error)
            self._settle()
        except ChannelThrottled as error:
            self._put_off(str(error))
        except ChannelDown as error:
            self._put_off(str(error))
            self._session.lose(str(error))
        else:
            self._settle()

    def _settle(self) -> None:
        self._failures, self._retry_at_s = 0, 0.0
        self._notebook.write_or_hold(replace(self._notebook.memory, unsent=None))

    def _put_off(self, reason: str) -> None:
        self._failures += 1
        wait_s = self._backoff.wait_s(self._failures, random.random())
        self._retry_at_s = self._clock.monotonic_s() + wait_s
        log.info("report not accepted (%s), again in %.1f s", reason, wait_s)
