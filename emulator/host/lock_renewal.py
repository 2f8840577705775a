"""Keeps a message's or a session's lock alive from inside the coroutine that owns the receiver."""

import logging
import time
from datetime import UTC, datetime

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

log = logging.getLogger("host.servicebus")
_SHORTEST_S = 0.5


class LockRenewal:
    """Renews at half of the remaining lock time.

    Args:
        message: whose lock to renew; None for the receiver's session.
        limit_s: for how long to go on renewing (host.json's maxAutoLockRenewalDuration).
    """

    def __init__(
        self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage | None, *, limit_s: float
    ) -> None:
        self._receiver = receiver
        self._message = message
        self._give_up_at = time.monotonic() + limit_s
        self._due_at = self._plan()

    def next_in_s(self) -> float:
        """Seconds until the next renewal; capped, so that a waiting loop looks again now and then."""
        return min(max(self._due_at - time.monotonic(), 0.05), 30.0)

    async def renew_if_due(self) -> None:
        """Renew if it is time; a lost lock only means that the message will come again."""
        now = time.monotonic()
        if now < self._due_at or now >= self._give_up_at:
            return
        try:
            if self._message is not None:
                await self._receiver.renew_message_lock(self._message)
            else:
                await self._receiver.session.renew_lock()
        except ServiceBusError as error:
            log.warning("lock not renewed: %s", error)
            self._give_up_at = now
        self._due_at = self._plan()

    def _plan(self) -> float:
        until = self._locked_until()
        now = time.monotonic()
        if until is None or now >= self._give_up_at:
            return float("inf")
        return now + max((until - datetime.now(UTC)).total_seconds() / 2, _SHORTEST_S)

    def _locked_until(self) -> datetime | None:
        if self._message is not None:
            return self._message.locked_until_utc
        session = self._receiver.session
        return session.locked_until_utc if session is not None else None
