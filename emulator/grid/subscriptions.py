"""Event subscriptions: which events go where, delivered at least once, in no promised order."""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from azure.core.exceptions import AzureError

from emulator.grid.dead_letters import DeadLetter, DeadLetterStore
from emulator.grid.events import GridEvent
from emulator.grid.schedule import SUCCESS, RetryLimits

log = logging.getLogger("cloud.grid")
_ANSWER_WITHIN_S = 30.0
_AT_ONCE = 32
_JITTER = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One event subscription.

    Attributes:
        url: the webhook, with its key.
        event_types: the types to deliver; empty for all.
        subject_begins_with: prefix that subjects must have.
        dead_letter_container: blob container, None to drop what cannot be delivered.
    """

    name: str
    topic: str
    url: str
    limits: RetryLimits
    event_types: frozenset[str] = frozenset()
    subject_begins_with: str = ""
    dead_letter_container: str | None = None

    def wants(self, event: GridEvent) -> bool:
        type_fits = not self.event_types or event.event_type in self.event_types
        return type_fits and event.subject.startswith(self.subject_begins_with)


@dataclass(slots=True, kw_only=True)
class DeliveryCounts:
    """What happened to a subscription's events so far; `pending` counts those not yet done."""

    pending: int = 0
    delivered: int = 0
    failed_attempts: int = 0
    dead_lettered: int = 0
    dropped: int = 0


class Deliveries:
    """Delivers events to subscriptions.

    Args:
        subscriptions: by name.
        dead_letters: where undeliverable events go.
    """

    def __init__(self, subscriptions: list[Subscription], dead_letters: DeadLetterStore) -> None:
        self._subscriptions = subscriptions
        self._dead_letters = dead_letters
        self._slots = {each.name: asyncio.Semaphore(_AT_ONCE) for each in subscriptions}
        self._running: set[asyncio.Task[None]] = set()
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S))
        self.counts: Mapping[str, DeliveryCounts] = {each.name: DeliveryCounts() for each in subscriptions}

    def accept(self, topic: str, event: GridEvent) -> None:
        """Start delivering an event to every subscription of `topic` that wants it."""
        for subscription in self._subscriptions:
            if subscription.topic == topic and subscription.wants(event):
                delivery = asyncio.create_task(self._deliver(subscription, event))
                self._running.add(delivery)
                delivery.add_done_callback(self._running.discard)

    async def close(self) -> None:
        for delivery in self._running:
            delivery.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._http.close()

    async def _deliver(self, subscription: Subscription, event: GridEvent) -> None:
        counts = self.counts[subscription.name]
        counts.pending += 1
        try:
            await self._try_until_done(subscription, event, counts)
        finally:
            counts.pending -= 1

    async def _try_until_done(self, subscription: Subscription, event: GridEvent, counts: DeliveryCounts) -> None:
        limits = subscription.limits
        for attempts in range(1, limits.max_attempts + 1):
            status = await self._attempt(subscription, event, attempts)
            if status in SUCCESS:
                counts.delivered += 1
                return
            counts.failed_attempts += 1
            age_s = (datetime.now(UTC) - event.published_at).total_seconds()
            reason = limits.reason_to_give_up(attempts=attempts, age_s=age_s, status=status)
            if reason is not None:
                await self._give_up(subscription, event, reason, attempts, status)
                return
            await asyncio.sleep(limits.delay_s(attempts) * random.uniform(1.0, 1.0 + _JITTER))

    async def _attempt(self, subscription: Subscription, event: GridEvent, attempts: int) -> int | None:
        """Send once; the HTTP status, 408 without an answer in time, None without a connection."""
        body, content_type = event.delivery()
        headers = {
            "Content-Type": content_type,
            "aeg-event-type": "Notification",
            "aeg-subscription-name": subscription.name.upper(),
            "aeg-delivery-count": str(attempts - 1),
        }
        try:
            async with (
                self._slots[subscription.name],
                self._http.post(subscription.url, data=body, headers=headers) as answer,
            ):
                return answer.status
        except TimeoutError:
            return 408
        except (aiohttp.ClientError, OSError):
            return None

    async def _give_up(
        self, subscription: Subscription, event: GridEvent, reason: str, attempts: int, status: int | None
    ) -> None:
        counts = self.counts[subscription.name]
        log.warning("%s gives up on %s: %s", subscription.name, event.fields.get("id"), reason)
        if subscription.dead_letter_container is None:
            counts.dropped += 1
            return
        letter = DeadLetter(
            event=event,
            topic=subscription.topic,
            subscription=subscription.name,
            reason=reason,
            attempts=attempts,
            last_status=status,
            last_attempt_at=datetime.now(UTC),
        )
        try:
            await self._dead_letters.write(subscription.dead_letter_container, letter)
            counts.dead_lettered += 1
        except AzureError:
            log.exception("dead letter lost")
            counts.dropped += 1
