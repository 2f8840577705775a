"""Looking into a queue without taking anything."""

from emulator.bus.config import STANDARD_MAX_MESSAGE_BYTES
from emulator.bus.store.message import MessageState, StoredMessage
from emulator.bus.store.queue import MessageQueue

# What .NET encodes DateTime.MaxValue to; it asks for sessions with messages or state, whenever updated.
_ANY_TIME_MS = 253_402_300_800_000


def peek(queue: MessageQueue, start: int, count: int, session_id: str | None) -> list[StoredMessage]:
    """Messages in any state from a sequence number on, in order.

    A page ends after `count` messages or 256 KB, but holds at least one message if there is one.
    """
    queue.advance()
    page: list[StoredMessage] = []
    size_bytes = 0
    for sequence in sorted(number for number in queue.messages if number >= start):
        message = queue.messages[sequence]
        if session_id is not None and message.session_id != session_id:
            continue
        size_bytes += len(message.content.body)
        if len(page) >= count or (page and size_bytes > STANDARD_MAX_MESSAGE_BYTES):
            break
        page.append(message)
    return page


def list_sessions(queue: MessageQueue, updated_after_ms: int, skip: int, top: int) -> list[str]:
    """A page of session ids: with active messages or state, or whose state was set after a time."""
    queue.advance()
    if updated_after_ms < _ANY_TIME_MS:
        found = set(queue.sessions.updated_since(updated_after_ms / 1000))
    else:
        active = (one for one in queue.messages.values() if one.state is MessageState.ACTIVE)
        found = {one.session_id for one in active if one.session_id is not None} | set(queue.sessions.states)
    return sorted(found)[skip : skip + top]
