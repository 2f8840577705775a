"""Service Bus, sending side."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusMessageBatch, ServiceBusSender
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusServerBusyError,
)

from shared.adapters.azure_access import Resource, explain_no_token, explain_refusal
from shared.adapters.refusals_told import throttled
from shared.ports.bus import OutgoingMessage, Queue
from shared.ports.errors import Unavailable
from shared.telemetry.carriers import carry


class AzureBus:
    """A ``MessageSender``; one instance serves all threads of a process.

    Senders are not thread-safe and take half a second to open: there is one per queue, opened when first needed, used
    by one thread at a time, and thrown away when it fails.
    """

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._locks = {queue: threading.Lock() for queue in Queue}
        self._senders: dict[Queue, ServiceBusSender] = {}
        # Opening and closing change the client's own list of its senders.
        self._client_lock = threading.Lock()

    def send(self, queue: Queue, messages: Sequence[OutgoingMessage]) -> None:
        if not messages:
            return
        with self._locks[queue], self._errors(queue):
            sender = self._sender(queue)
            for batch in _batches(sender, messages):
                sender.send_messages(batch)

    def close(self) -> None:
        """Close all senders and the connection."""
        with self._client_lock:
            for sender in self._senders.values():
                sender.close()
            self._senders.clear()
            self._client.close()

    def _sender(self, queue: Queue) -> ServiceBusSender:
        with self._client_lock:
            if queue not in self._senders:
                self._senders[queue] = self._client.get_queue_sender(queue.value)
            return self._senders[queue]

    @contextmanager
    def _errors(self, queue: Queue) -> Iterator[None]:
        try:
            yield
        except ServiceBusServerBusyError as error:
            raise throttled("service-bus", f"{queue} takes no more messages for now") from error
        except (ServiceBusAuthenticationError, ServiceBusAuthorizationError) as error:
            self._forget(queue)
            status = 401 if isinstance(error, ServiceBusAuthenticationError) else 403
            raise explain_refusal("Service Bus", Resource(kind="queue", name=queue), status=status) from error
        except ClientAuthenticationError as error:
            self._forget(queue)
            raise explain_no_token("Service Bus", error) from error
        except AzureError as error:
            self._forget(queue)
            raise Unavailable(f"{queue} cannot be sent to: {type(error).__name__}") from error

    def _forget(self, queue: Queue) -> None:
        with self._client_lock:
            if (sender := self._senders.pop(queue, None)) is not None:
                # Whatever is wrong with it has been told already.
                with suppress(AzureError):
                    sender.close()


def _batches(sender: ServiceBusSender, messages: Sequence[OutgoingMessage]) -> Iterator[ServiceBusMessageBatch]:
    """The messages in order, in as few batches as the link's size limit allows."""
    batch = sender.create_message_batch()
    for message in map(_message, messages):
        try:
            batch.add_message(message)
        except MessageSizeExceededError:
            if len(batch) == 0:
                raise
            yield batch
            batch = sender.create_message_batch()
            batch.add_message(message)
    yield batch


def _message(message: OutgoingMessage) -> ServiceBusMessage:
    properties: dict[str | bytes, Any] = dict(message.properties.items())
    properties |= carry(visible_at=message.enqueue_at).items()
    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        session_id=message.session_id or None,
        scheduled_enqueue_time_utc=message.enqueue_at,
        content_type="application/json",
        application_properties=properties or None,
    )
