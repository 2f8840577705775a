"""What the queues of a namespace hold as JSON documents, so that it outlives the process.

Locks end with the process, and so does the memory of message ids: a repeat sent afterwards is taken once more, as
one sent after the window of duplicate detection is.
"""

import base64
import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from emulator.bus.amqp.sections import Content
from emulator.bus.store.message import MessageState, StoredMessage
from emulator.bus.store.store import BusStore
from emulator.durable import Entry, Part

_MESSAGE, _SESSION = "#", "@"


def queues_part(store: BusStore) -> Part:
    """The messages of all queues and dead-letter queues, scheduled and deferred ones among them, and session states.

    Queues that are no longer declared are passed over, with what they held.
    """
    return Part(name="queues", held=lambda: _held(store), restore=lambda documents: _restore(store, documents))


def _held(store: BusStore) -> Iterator[Entry]:
    for path in store.paths:
        queue = store.queue(path)
        for session, state in queue.sessions.states.items():
            key = f"{path}{_SESSION}{session}"
            yield Entry(key=key, mark=state, write=partial(_write_session, path, session, state))
        for message in queue.messages.values():
            key = f"{path}{_MESSAGE}{message.sequence}"
            yield Entry(key=key, mark=_mark(message), write=partial(_write, path, message))


def _restore(store: BusStore, documents: Mapping[str, Any]) -> None:
    known = [each for each in documents.values() if each["queue"] in store.paths]
    for each in known:
        if "session" in each:
            store.queue(each["queue"]).sessions.states[each["session"]] = _decode(each["state"])
    messages = [each for each in known if "session" not in each]
    for each in sorted(messages, key=lambda message: int(message["sequence"])):
        store.queue(each["queue"]).restore(_read(each))


def _write_session(path: str, session: str, state: bytes) -> dict[str, Any]:
    return {"queue": path, "session": session, "state": _encode(state)}


def _mark(message: StoredMessage) -> tuple[Any, ...]:
    """Locks are not in it: they end with the process."""
    times = (message.enqueued_at, message.ttl_s, message.expires_at)
    return (message.state, message.delivery_count, *times, message.dead_letter_source, message.content)


def _write(path: str, message: StoredMessage) -> dict[str, Any]:
    return {
        "queue": path,
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
