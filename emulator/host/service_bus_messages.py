"""Binding data of a Service Bus message, under the names that `azure-functions` reads."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpMessageBodyType

from emulator.host.rpc import TypedData, byte_strings, strings

_DAY = timedelta(days=1)


def message_body(message: ServiceBusReceivedMessage) -> bytes:
    """The body as bytes.

    Raises:
        ValueError: a value or sequence body, which the extension (`ServiceBusReceivedMessage.Body`) cannot bind either.
    """
    if message.body_type is not AmqpMessageBodyType.DATA:
        raise ValueError(f"a body of type {message.body_type.value} cannot be bound")
    return b"".join(bytes(part) for part in message.body)


def message_fields(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """Every property of a message that a function can see, JSON-ready, absent ones as None."""
    properties = _properties(message)
    return {
        "ApplicationProperties": properties,
        "ContentType": message.content_type,
        "CorrelationId": message.correlation_id,
        "DeadLetterErrorDescription": message.dead_letter_error_description,
        "DeadLetterReason": message.dead_letter_reason,
        "DeadLetterSource": message.dead_letter_source,
        # AMQP counts failed deliveries, Service Bus the deliveries themselves.
        "DeliveryCount": (message.delivery_count or 0) + 1,
        "EnqueuedSequenceNumber": message.enqueued_sequence_number,
        "EnqueuedTimeUtc": _time(message.enqueued_time_utc),
        "ExpiresAtUtc": _time(message.expires_at_utc),
        "Label": message.subject,
        "LockToken": str(message.lock_token) if message.lock_token else None,
        "LockedUntil": None if message.session_id else _time(message.locked_until_utc),
        "MessageId": message.message_id,
        "PartitionKey": message.partition_key,
        "ReplyTo": message.reply_to,
        "ReplyToSessionId": message.reply_to_session_id,
        "ScheduledEnqueueTimeUtc": _time(message.scheduled_enqueue_time_utc),
        "SequenceNumber": message.sequence_number,
        "SessionId": message.session_id,
        "State": int(message.state) if message.state is not None else None,
        "Subject": message.subject,
        "TimeToLive": _duration(message.time_to_live),
        "To": message.to,
        "UserProperties": properties,
    }


def single_trigger(message: ServiceBusReceivedMessage, *, as_bytes: bool) -> tuple[TypedData, dict[str, TypedData]]:
    """Value and metadata for cardinality one."""
    body = message_body(message)
    value = TypedData(bytes=body) if as_bytes else TypedData(string=_text(body))
    return value, {name: _typed(field) for name, field in message_fields(message).items() if field is not None}


def batch_trigger(
    messages: Sequence[ServiceBusReceivedMessage], *, as_bytes: bool
) -> tuple[TypedData, dict[str, TypedData]]:
    """Value and metadata for cardinality many: one `…Array` per property, in message order."""
    bodies = [message_body(message) for message in messages]
    value = byte_strings(bodies) if as_bytes else strings([_text(body) for body in bodies])
    fields = [message_fields(message) for message in messages]
    return value, {f"{name}Array": TypedData(json=json.dumps([each[name] for each in fields])) for name in fields[0]}


def _typed(field: Any) -> TypedData:
    return TypedData(string=field) if isinstance(field, str) else TypedData(json=json.dumps(field))


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="replace")


def _properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    found: Mapping[Any, Any] = message.application_properties or {}
    return {_key(key): _plain(content) for key, content in found.items()}


def _key(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


def _plain(content: Any) -> Any:
    if isinstance(content, bytes):
        return content.decode("utf-8", errors="replace")
    return content if isinstance(content, str | int | float | bool | type(None)) else str(content)


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def _duration(span: timedelta | None) -> str | None:
    # `azure-functions` cannot read .NET's form of a day or more, and would fail the message.
    if span is None or span >= _DAY:
        return None
    return str(timedelta(seconds=int(span.total_seconds()))).rjust(8, "0")
