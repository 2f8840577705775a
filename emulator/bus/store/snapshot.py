"""What the queues of a namespace hold as one JSON document, so that it outlives the process.

Locks end with the process, and so does the memory of message ids: a repeat sent afterwards is taken once more, as
one sent after the window of duplicate detection is.
"""

import base64
import math
from typing import Any

from emulator.bus.amqp.sections import Content
from emulator.bus.store.message import MessageState, StoredMessage
from emulator.bus.store.store import BusStore


def write_queues(store: BusStore) -> dict[str, Any]:
    """The messages of all queues and dead-letter queues, scheduled and deferred ones among them, and session states."""
    return {"version": 1, "queues": {path: _write_queue(store, path) for path in store.paths}}


def restore_queues(store: BusStore, document: dict[str, Any]) -> None:
    """Put back what the queues held; those that are no longer declared are passed over, with what they held."""
    known = {path: found for path, found in document["queues"].items() if path in store.paths}
    for path, found in known.items():
        queue = store.queue(path)
        queue.sessions.states.update({session: _decode(text) for session, text in found["sessions"].items()})
        for message in found["messages"]:
            queue.restore(_read(message))


def _write_queue(store: BusStore, path: str) -> dict[str, Any]:
    queue = store.queue(path)
    return {
        "sessions": {session: _encode(state) for session, state in queue.sessions.states.items()},
        "messages": [_write(queue.messages[sequence]) for sequence in sorted(queue.messages)],
    }


def _write(message: StoredMessage) -> dict[str, Any]:
    return {
        "sequence": message.sequence,
        "content": _encode(message.content.encoded(message.content.header, {})),
        "state": message.state.value,
        "enqueuedAt": message.enqueued_at,
        "timeToLiveS": None if math.isinf(message.ttl_s) else message.ttl_s,
        "expiresAt": None if math.isinf(message.expires_at) else message.expires_at,
        "deliveryCount": message.delivery_count,
        "originSequence": message.origin_sequence,
        "deadLetterSource": message.dead_letter_source,
    }


def _read(document: dict[str, Any]) -> StoredMessage:
    return StoredMessage(
        sequence=document["sequence"],
        content=Content.read(_decode(document["content"])),
        state=MessageState(document["state"]),
        enqueued_at=document["enqueuedAt"],
        ttl_s=math.inf if document["timeToLiveS"] is None else document["timeToLiveS"],
        expires_at=math.inf if document["expiresAt"] is None else document["expiresAt"],
        delivery_count=document["deliveryCount"],
        origin_sequence=document["originSequence"],
        dead_letter_source=document["deadLetterSource"],
    )


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text)
