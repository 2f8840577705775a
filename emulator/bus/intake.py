"""From a transfer's payload to messages in a queue."""

from emulator.bus.amqp.sections import Content, read_batch
from emulator.bus.config import STANDARD_MAX_MESSAGE_BYTES
from emulator.bus.errors import BusError, Condition
from emulator.bus.store.queue import MessageQueue

BATCH_FORMAT = 0x80013700  # the message format of a Service Bus batch
_SCHEDULED = "x-opt-scheduled-enqueue-time"


def accept_payload(queue: MessageQueue, payload: bytes, message_format: int) -> None:
    """Puts a message, or every message of a batch, into the queue: all or none.

    Raises:
        BusError: the payload cannot be read, or `QueueRules.check` refuses a message.
    """
    encoded = read_batch(payload) if message_format == BATCH_FORMAT else [payload]
    contents = [Content.read(one) for one in encoded]
    for content in contents:
        queue.rules.check(content)
    for content in contents:
        queue.send(content, scheduled_time(content))


def scheduled_time(content: Content) -> float | None:
    """When the sender wants the message to become active, in seconds since 1970 UTC."""
    milliseconds = content.annotations.get(_SCHEDULED)
    return None if milliseconds is None else float(milliseconds) / 1000


def check_size(size_bytes: int) -> None:
    """Refuses what the Standard tier refuses: more than 256 KB, properties included.

    Raises:
        BusError: `amqp:link:message-size-exceeded`.
    """
    if size_bytes > STANDARD_MAX_MESSAGE_BYTES:
        raise BusError(
            Condition.SIZE_EXCEEDED,
            f"The message has {size_bytes} bytes, more than the {STANDARD_MAX_MESSAGE_BYTES} allowed.",
        )
