"""Queue messages: read once, handled, parked where no retry can mend them, and put off while the outside is down."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import azure.functions as func

from shared.domain.errors import DomainError, MalformedMessage, NewerMessage
from shared.edge.subjects import tell_subject
from shared.ports.bus import MessageSender, OutgoingMessage, Parking, Queue
from shared.ports.errors import PortError, UnreadableRow

log = logging.getLogger(__name__)

DELIVERIES_IN_A_ROW = 5
"""Redelivery has no pause: after this many, the message is sent again for later, long before the queue gives it up."""

PUT_OFF_S = 60.0

NEWER_WAIT = timedelta(days=1)
"""No upgrade lasts longer. A message that this version still cannot read is parked then."""

NEWER_SINCE = "newer-since"
"""The property of a message that was put off because it may be newer: when that was done first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """A queue as its function sees it."""

    queue: Queue
    parking: Parking
    sender: MessageSender
    clock: Callable[[], datetime]


def consume[M](
    inbox: Inbox,
    messages: Sequence[func.ServiceBusMessage],
    *,
    read: Callable[[bytes], M],
    handle: Callable[[Sequence[M]], None],
) -> None:
    """Hand the readable messages to the handler together; those that may be newer wait for an instance that is.

    Raises:
        PortError: The host must redeliver the whole batch; parking a message twice keeps it once.
    """
    readable: list[tuple[func.ServiceBusMessage, M]] = []
    newer: list[tuple[func.ServiceBusMessage, NewerMessage]] = []
    for message in messages:
        try:
            readable.append((message, read(message.get_body())))
        except NewerMessage as error:
            newer.append((message, error))
        except MalformedMessage as error:
            _park(inbox, message, error)
    if readable:
        tell_subject([read_message for _, read_message in readable])
        try:
            _handle(inbox, readable, handle)
        except PortError as error:
            _put_off(inbox, messages, error)
            return
    # Last: a batch that comes again brings these back itself, and each sent before would be one more.
    for message, why in newer:
        _leave_to_newer(inbox, message, why)


def consume_each[M](
    inbox: Inbox,
    messages: Sequence[func.ServiceBusMessage],
    *,
    read: Callable[[bytes], M],
    handle: Callable[[M], None],
) -> None:
    """Hand each readable message to the handler by itself.

    Raises:
        PortError: The host must redeliver.
    """

    def handle_each(readable: Sequence[M]) -> None:
        for message in readable:
            handle(message)

    consume(inbox, messages, read=read, handle=handle_each)


def _handle[M](
    inbox: Inbox,
    readable: Sequence[tuple[func.ServiceBusMessage, M]],
    handle: Callable[[Sequence[M]], None],
) -> None:
    try:
        handle([message for _, message in readable])
    except (DomainError, UnreadableRow) as error:
        if len(readable) > 1:
            _handle_each(inbox, readable, handle)
        elif isinstance(error, DomainError):
            _park(inbox, readable[0][0], error)
        else:
            raise


def _handle_each[M](
    inbox: Inbox,
    readable: Sequence[tuple[func.ServiceBusMessage, M]],
    handle: Callable[[Sequence[M]], None],
) -> None:
    """One message spoils the batch: take them one by one, so that only it is parked, or waits."""
    unreadable: dict[str, list[func.ServiceBusMessage]] = {}
    for pair in readable:
        try:
            _handle(inbox, [pair], handle)
        except UnreadableRow as error:
            unreadable.setdefault(str(error), []).append(pair[0])
    # Last: where the batch comes again after an outage, these come with it.
    for why, messages in unreadable.items():
        send_later(inbox.queue, messages, why, sender=inbox.sender, now=inbox.clock(), wait_s=PUT_OFF_S)


def _park(inbox: Inbox, message: func.ServiceBusMessage, error: DomainError) -> None:
    inbox.parking.park(
        source=inbox.queue,
        body=message.get_body(),
        code=error.code,
        reason=error.message,
        session_id=message.session_id or "",
    )


def _leave_to_newer(inbox: Inbox, message: func.ServiceBusMessage, error: NewerMessage) -> None:
    """Send the message again for later: instances of its own version run beside this one, or soon will."""
    now = inbox.clock()
    since = _newer_since(message) or now
    if now - since >= NEWER_WAIT:
        _park(inbox, message, error)
        return
    log.warning("%s: left a message to a newer version for %g s: %s", inbox.queue, PUT_OFF_S, error.message)
    again = _again(message, now + timedelta(seconds=PUT_OFF_S))
    inbox.sender.send(inbox.queue, [replace(again, properties={NEWER_SINCE: since.isoformat()})])


def _newer_since(message: func.ServiceBusMessage) -> datetime | None:
    text = (message.application_properties or {}).get(NEWER_SINCE)
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _put_off(inbox: Inbox, messages: Sequence[func.ServiceBusMessage], error: PortError) -> None:
    """Raise the error, or complete the messages after sending them again for later, where one of them is due for it."""
    if all((message.delivery_count or 1) < DELIVERIES_IN_A_ROW for message in messages):
        raise error
    send_later(inbox.queue, messages, str(error), sender=inbox.sender, now=inbox.clock(), wait_s=PUT_OFF_S)


def send_later(
    queue: Queue,
    messages: Sequence[func.ServiceBusMessage],
    why: str,
    *,
    sender: MessageSender,
    now: datetime,
    wait_s: float,
) -> None:
    """Send messages again for later, so that the host may complete them.

    Raises:
        PortError: The queue takes none; the host must redeliver.
    """
    log.warning("%s: put off %d messages for %g s: %s", queue, len(messages), wait_s, why)
    later = now + timedelta(seconds=wait_s)
    sender.send(queue, [_again(message, later) for message in messages])


def _again(message: func.ServiceBusMessage, at: datetime) -> OutgoingMessage:
    """The message with an id of its own, which duplicate detection does not know yet."""
    identity = hashlib.sha256(f"{message.message_id}@{at.timestamp():.0f}".encode()).hexdigest()[:32]
    since = _newer_since(message)
    return OutgoingMessage(
        body=message.get_body(),
        message_id=identity,
        session_id=message.session_id or "",
        enqueue_at=at,
        properties={NEWER_SINCE: since.isoformat()} if since else {},
    )
