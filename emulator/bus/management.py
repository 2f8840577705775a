"""The node `<entity>/$management`: what receivers and senders ask for besides messages.

Operations and fields: Microsoft Learn, "AMQP 1.0 in Service Bus: request/response-based operations".
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from emulator.bus.amqp.outcomes import Settlement, Verdict
from emulator.bus.amqp.sections import Content
from emulator.bus.amqp.types import Array, Int, Symbol, Value
from emulator.bus.browse import list_sessions, peek
from emulator.bus.errors import BusError, Condition
from emulator.bus.intake import check_size, scheduled_time
from emulator.bus.requests import Request, write_reply
from emulator.bus.store.message import StoredMessage, to_timestamp
from emulator.bus.store.queue import MessageQueue

SUFFIX = "/$management"
_STATUS = {
    Condition.MESSAGE_LOCK_LOST: 410,
    Condition.SESSION_LOCK_LOST: 410,
    Condition.MESSAGE_NOT_FOUND: 404,
    Condition.NOT_IMPLEMENTED: 501,
    Condition.SIZE_EXCEEDED: 403,
}


@dataclass(frozen=True, slots=True)
class _Answer:
    body: dict[str, Value]
    status: int = 200


def answer_operation(request: Request, queue: MessageQueue, caller: object) -> bytes:
    """Carries an operation out and returns the encoded reply, which names the error where there is one.

    Args:
        caller: the connection it came on; a session's lock and state are for the connection that holds the session.
    """
    operation = str(request.properties.get("operation"))
    try:
        handler = _OPERATIONS.get(operation)
        if handler is None or not isinstance(request.body, dict):
            raise BusError(Condition.NOT_IMPLEMENTED, f"The operation '{operation}' is not supported.")
        if operation in _FOR_HOLDERS:
            _require_holder(queue, request.body["session-id"], caller)
        answer = handler(queue, request.body)
    except BusError as error:
        return _refusal(request, error)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"The request lacks a field or has it of another type: {error}."
        return _refusal(request, BusError(Condition.ARGUMENT_ERROR, text))
    return write_reply(request, {"statusCode": Int(answer.status), "statusDescription": "OK"}, answer.body)


def _require_holder(queue: MessageQueue, session_id: str, caller: object) -> None:
    queue.advance()
    if queue.sessions.require(session_id).holder is not caller:
        text = f"The lock on the session '{session_id}' has expired, and another receiver holds it."
        raise BusError(Condition.SESSION_LOCK_LOST, text)


def _refusal(request: Request, error: BusError) -> bytes:
    properties = {
        "statusCode": Int(_STATUS.get(error.condition, 400)),
        "statusDescription": error.description,
        "errorCondition": Symbol(error.condition),
    }
    return write_reply(request, properties, {})


def _renew_locks(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    ends = tuple(to_timestamp(queue.renew(token)) for token in _tokens(body))
    return _Answer({"expirations": Array(ends)})


def _tokens(body: dict[str, Value]) -> list[UUID]:
    tokens = list(body["lock-tokens"].items)
    if not tokens or not all(isinstance(token, UUID) for token in tokens):
        raise ValueError("lock-tokens must be an array of uuid")
    return tokens


def _renew_session(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    return _Answer({"expiration": to_timestamp(queue.renew_session(body["session-id"]))})


def _peek(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    found = peek(queue, body["from-sequence-number"], body["message-count"], body.get("session-id"))
    return _Answer({"messages": [{"message": message.encoded()} for message in found]}, 200 if found else 204)


def _receive_deferred(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    found = queue.acquire_deferred(body["sequence-numbers"].items, body.get("session-id"))
    entries = [_deferred_entry(message) for message in found]
    if not body["receiver-settle-mode"]:
        for entry in entries:
            queue.settle(entry["lock-token"], Verdict(settlement=Settlement.COMPLETE))
    return _Answer({"messages": entries})


def _deferred_entry(message: StoredMessage) -> dict[str, Value]:
    token = message.lock.token if message.lock else None
    return {"message": message.encoded(), "lock-token": token}


def _update_disposition(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    verdict = Verdict(
        settlement=Settlement(body["disposition-status"]),
        reason=body.get("deadletter-reason"),
        description=body.get("deadletter-description"),
    )
    for token in _tokens(body):
        queue.settle(token, verdict)
    return _Answer({})


def _schedule(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    encoded: list[bytes] = [entry["message"] for entry in body["messages"]]
    contents = [Content.read(one) for one in encoded]
    for one, content in zip(encoded, contents, strict=True):
        check_size(len(one))
        queue.rules.check(content)
    numbers = tuple(queue.send(content, scheduled_time(content)) for content in contents)
    return _Answer({"sequence-numbers": Array(numbers)})


def _cancel(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    for sequence in body["sequence-numbers"].items:
        queue.cancel(sequence)
    return _Answer({})


def _get_state(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    session = queue.sessions.require(body["session-id"])
    return _Answer({"session-state": queue.sessions.states.get(session.session_id)})


def _set_state(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    state: bytes | None = body["session-state"]
    check_size(len(state or b""))
    queue.sessions.write_state(body["session-id"], state, queue.now())
    return _Answer({})


def _list_sessions(queue: MessageQueue, body: dict[str, Value]) -> _Answer:
    found = list_sessions(queue, body["last-updated-time"], body["skip"], body["top"])
    return _Answer({"skip": Int(body["skip"] + len(found)), "sessions-ids": found}, 200 if found else 204)


_FOR_HOLDERS = frozenset(
    {
        "com.microsoft:renew-session-lock",
        "com.microsoft:get-session-state",
        "com.microsoft:set-session-state",
    }
)
_OPERATIONS: dict[str, Callable[[MessageQueue, dict[str, Value]], _Answer]] = {
    "com.microsoft:renew-lock": _renew_locks,
    "com.microsoft:renew-session-lock": _renew_session,
    "com.microsoft:peek-message": _peek,
    "com.microsoft:receive-by-sequence-number": _receive_deferred,
    "com.microsoft:update-disposition": _update_disposition,
    "com.microsoft:schedule-message": _schedule,
    "com.microsoft:cancel-scheduled-message": _cancel,
    "com.microsoft:get-session-state": _get_state,
    "com.microsoft:set-session-state": _set_state,
    "com.microsoft:get-message-sessions": _list_sessions,
}
