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
    times = [scheduled_time(content) for content in contents]
    for content in contents:
        queue.rules.check(content)
    for content, scheduled_for in zip(contents, times, strict=True):
        queue.send(content, scheduled_for)


def scheduled_time(content: Content) -> float | None:
    """When the sender wants the message to become active, in seconds since 1970 UTC.

    Raises:
        BusError: `amqp:decode-error`.
    """
    milliseconds = content.annotations.get(_SCHEDULED)
    if milliseconds is None:
        return None
    if not isinstance(milliseconds, int):
        raise BusError(Condition.DECODE_ERROR, f"{_SCHEDULED} is a timestamp, not {milliseconds!r}")
    return milliseconds / 1000


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
