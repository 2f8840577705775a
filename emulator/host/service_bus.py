"""Service Bus triggers: receive under lock, execute, complete on success, abandon on failure.

A receiver of the SDK is safe for one coroutine only. Each worker therefore owns one, and lock renewals
and settlements happen in the same coroutine, between waits for the function.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusReceivedMessage, ServiceBusSessionFilter
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    OperationTimeoutError,
    ServiceBusError,
    SessionLockLostError,
)

from emulator.host.functions import Function, Trigger
from emulator.host.host_json import ServiceBusOptions
from emulator.host.invoker import Call, Invoker, Outcome
from emulator.host.lock_renewal import LockRenewal
from emulator.host.service_bus_messages import batch_trigger, single_trigger
from emulator.host.worker_pool import WorkerPool

log = logging.getLogger("host.servicebus")
_IDLE_WAIT_S = 30.0
_SESSION_WAIT_S = 30.0
_FAILURE_PAUSE_S = 1.0
type _NextSession = Literal[ServiceBusSessionFilter.NEXT_AVAILABLE]
_LOST = (MessageLockLostError, SessionLockLostError, MessageAlreadySettled)


class ServiceBusTrigger:
    """Drives one Service Bus function.

    Args:
        connection: fields found under the trigger's connection name.
        options: host.json's serviceBus section.
    """

    def __init__(
        self, function: Function, *, connection: dict[str, str], options: ServiceBusOptions, invoker: Invoker
    ) -> None:
        self.function = function
        self._trigger = function.trigger
        self._options = options
        self._invoker = invoker
        self._client = _open_client(connection)
        self._closing: set[asyncio.Task[None]] = set()
        self._sessions = self._trigger.text("isSessionsEnabled").lower() == "true"
        self._pool = WorkerPool(
            name=function.name,
            limit=self._limit(),
            work=self._serve_sessions if self._sessions else self._serve_queue,
        )

    def _limit(self) -> int:
        if self._sessions:
            return self._options.max_concurrent_sessions
        return 1 if self._trigger.takes_batches else self._options.max_concurrent_calls

    def start(self) -> None:
        self._pool.start()

    async def stop(self, *, grace_s: float) -> None:
        await self._pool.stop(grace_s=grace_s)
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._client.close()

    async def _serve_queue(self, pool: WorkerPool) -> None:
        while not pool.stopping:
            async with (
                _survive_outages(self.function.name),
                _open_receiver(self._client, self._trigger) as receiver,
            ):
                if await self._drain(pool, receiver):
                    return

    async def _drain(self, pool: WorkerPool, receiver: ServiceBusReceiver) -> bool:
        """Serve messages until this worker is one too many (True) or the host stops."""
        while not pool.stopping:
            messages = await receiver.receive_messages(self._batch_size, max_wait_time=_IDLE_WAIT_S)
            if messages:
                with pool.busy():
                    await self._handle(receiver, messages)
            elif pool.may_leave():
                return True
        return True

    async def _serve_sessions(self, pool: WorkerPool) -> None:
        while not pool.stopping:
            async with (
                _survive_outages(self.function.name),
                _open_session(self._client, self._trigger) as receiver,
            ):
                if receiver is not None:
                    try:
                        with pool.busy():
                            await self._drain_session(pool, receiver)
                    finally:
                        self._close_aside(receiver)
            if pool.may_leave():
                return

    async def _drain_session(self, pool: WorkerPool, receiver: ServiceBusReceiver) -> None:
        """Serve one session in order until it has been quiet for the session idle timeout."""
        renewal = LockRenewal(receiver, None, limit_s=float("inf"))
        quiet_s = 0.0
        while not pool.stopping and quiet_s < self._options.session_idle_timeout_s:
            wait_s = min(self._options.session_idle_timeout_s - quiet_s, renewal.next_in_s())
            messages = await receiver.receive_messages(self._batch_size, max_wait_time=max(wait_s, 0.1))
            quiet_s = 0.0 if messages else quiet_s + wait_s
            if messages:
                await self._handle(receiver, messages)
            await renewal.renew_if_due()

    def _close_aside(self, receiver: ServiceBusReceiver) -> None:
        """Close without waiting: the SDK takes half a second, in which the next session can be served."""
        closing = asyncio.create_task(receiver.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    @property
    def _batch_size(self) -> int:
        return self._options.max_message_batch_size if self._trigger.takes_batches else 1

    async def _handle(self, receiver: ServiceBusReceiver, messages: Sequence[ServiceBusReceivedMessage]) -> None:
        outcome = await self._execute(receiver, messages)
        for message in messages:
            await _settle(receiver, message, outcome)

    async def _execute(self, receiver: ServiceBusReceiver, messages: Sequence[ServiceBusReceivedMessage]) -> Outcome:
        try:
            call = self._call(messages)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            # Given back, it ends as a dead letter, where somebody sees it.
            log.exception("%s: cannot be bound", [message.message_id for message in messages])
            return Outcome(returned=None, error=f"{type(error).__name__}: {error}")
        execution = asyncio.create_task(self._invoker.invoke(self.function, call))
        try:
            return await self._hold_locks(receiver, messages, execution)
        except asyncio.CancelledError:
            execution.cancel()
            raise

    def _call(self, messages: Sequence[ServiceBusReceivedMessage]) -> Call:
        as_bytes = self._trigger.takes_bytes
        if self._trigger.takes_batches:
            value, metadata = batch_trigger(messages, as_bytes=as_bytes)
        else:
            value, metadata = single_trigger(messages[0], as_bytes=as_bytes)
        return Call(trigger=value, metadata=metadata)

    async def _hold_locks(
        self,
        receiver: ServiceBusReceiver,
        messages: Sequence[ServiceBusReceivedMessage],
        execution: asyncio.Task[Outcome],
    ) -> Outcome:
        """Wait for the function, renewing the lock meanwhile; batches are not renewed, as in Azure."""
        limit_s = 0.0 if self._trigger.takes_batches else self._options.max_auto_lock_renewal_s
        renewal = LockRenewal(receiver, None if self._sessions else messages[0], limit_s=limit_s)
        while not execution.done():
            await asyncio.wait({execution}, timeout=renewal.next_in_s())
            if not execution.done():
                await renewal.renew_if_due()
        return execution.result()


def _open_client(connection: dict[str, str]) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(connection["connectionString"], retry_total=1)


def _open_receiver(
    client: ServiceBusClient, trigger: Trigger, session_id: _NextSession | None = None
) -> ServiceBusReceiver:
    wait_s = _SESSION_WAIT_S if session_id else None
    return client.get_queue_receiver(trigger.text("queueName"), session_id=session_id, max_wait_time=wait_s)


@asynccontextmanager
async def _open_session(client: ServiceBusClient, trigger: Trigger) -> AsyncIterator[ServiceBusReceiver | None]:
    """Accept the next free session, None when there was none for a while."""
    receiver = _open_receiver(client, trigger, NEXT_AVAILABLE_SESSION)
    try:
        await receiver.__aenter__()
    except OperationTimeoutError:
        await receiver.close()
        yield None
        return
    yield receiver


@asynccontextmanager
async def _survive_outages(name: str) -> AsyncIterator[None]:
    try:
        yield
    except (ServiceBusError, OSError) as error:
        log.warning("%s: %s: %s", name, type(error).__name__, error)
        await asyncio.sleep(_FAILURE_PAUSE_S)


async def _settle(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage, outcome: Outcome) -> None:
    try:
        if outcome.succeeded:
            await receiver.complete_message(message)
        else:
            await receiver.abandon_message(message)
    except _LOST as error:
        # The message comes again; functions have to bear that.
        log.warning("%s: not settled: %s", message.message_id, type(error).__name__)
