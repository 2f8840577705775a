"""The dead-letter queues of Service Bus, as ``SetAsideMessages``: what a queue gave up after too many deliveries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver, ServiceBusSubQueue

from shared.ports.bus import Queue
from shared.ports.errors import Unavailable
from shared.ports.replay import Send, SetAside

_PER_CALL = 50
_WAIT_S = 5.0
"""A dead letter that is there comes at once; this long is waited for one that is not."""


class AzureDeadLetters:
    """The dead letters of all queues. Taking one locks it: whatever happens then, it comes back or is gone."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client

    def list(self) -> Iterator[SetAside]:
        for queue in Queue:
            with self._receiver(queue) as receiver:
                letters = [_letter(queue, message) for message in _peek(receiver)]
            yield from letters

    def resend(self, chosen: Sequence[SetAside], send: Send) -> int:
        wanted: dict[Queue, dict[int, SetAside]] = defaultdict(dict)
        for letter in chosen:
            if letter.queue is not None:
                wanted[letter.queue][int(letter.receipt)] = letter
        done = 0
        for queue, letters in wanted.items():
            with self._receiver(queue) as receiver:
                done += _resend(receiver, letters, send)
        return done

    @contextmanager
    def _receiver(self, queue: Queue) -> Iterator[ServiceBusReceiver]:
        try:
            with self._client.get_queue_receiver(queue.value, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
                yield receiver
        except AzureError as error:
            raise Unavailable(f"the dead letters of {queue} cannot be had: {type(error).__name__}") from error


def _peek(receiver: ServiceBusReceiver) -> Iterator[ServiceBusReceivedMessage]:
    number = 0
    while messages := receiver.peek_messages(max_message_count=_PER_CALL, sequence_number=number):
        yield from messages
        number = (messages[-1].sequence_number or 0) + 1


def _resend(receiver: ServiceBusReceiver, wanted: Mapping[int, SetAside], send: Send) -> int:
    """Dead letters come in order and cannot be asked for by number: the others are held, and let go at the end."""
    left, held, done = dict(wanted), dict[int, ServiceBusReceivedMessage](), 0
    try:
        while left and (messages := receiver.receive_messages(_PER_CALL, max_wait_time=_WAIT_S)):
            for message in messages:
                number = message.sequence_number or 0
                if number in held:
                    # Its lock ran out and it came round again: what is wanted is not there any more.
                    return done
                held[number] = message
                if (letter := left.pop(number, None)) is not None:
                    send(letter, b"".join(message.body))
                    receiver.complete_message(held.pop(number))
                    done += 1
    finally:
        for message in held.values():
            with suppress(AzureError):
                receiver.abandon_message(message)
    return done


def _letter(queue: Queue, message: ServiceBusReceivedMessage) -> SetAside:
    return SetAside(
        id=f"dead/{queue}/{message.sequence_number}",
        queue=queue,
        session_id=message.session_id or "",
        code=message.dead_letter_reason or "",
        reason=message.dead_letter_error_description or "",
        since=message.enqueued_time_utc or datetime.min.replace(tzinfo=UTC),
        receipt=str(message.sequence_number),
    )
