"""What the bus refuses, in the words it uses on the wire."""

from enum import StrEnum


class Condition(StrEnum):
    """Error conditions: AMQP 1.0 part 2 section 2.8.14 onwards, and Service Bus' own vendor ones."""

    INTERNAL_ERROR = "amqp:internal-error"
    NOT_FOUND = "amqp:not-found"
    UNAUTHORIZED = "amqp:unauthorized-access"
    DECODE_ERROR = "amqp:decode-error"
    NOT_ALLOWED = "amqp:not-allowed"
    NOT_IMPLEMENTED = "amqp:not-implemented"
    ILLEGAL_STATE = "amqp:illegal-state"
    RESOURCE_LIMIT = "amqp:resource-limit-exceeded"
    FRAMING_ERROR = "amqp:connection:framing-error"
    CONNECTION_FORCED = "amqp:connection:forced"
    HANDLE_IN_USE = "amqp:session:handle-in-use"
    UNATTACHED_HANDLE = "amqp:session:unattached-handle"
    SIZE_EXCEEDED = "amqp:link:message-size-exceeded"
    DETACH_FORCED = "amqp:link:detach-forced"
    ARGUMENT_ERROR = "com.microsoft:argument-error"
    MESSAGE_LOCK_LOST = "com.microsoft:message-lock-lost"
    MESSAGE_NOT_FOUND = "com.microsoft:message-not-found"
    SESSION_LOCK_LOST = "com.microsoft:session-lock-lost"
    SESSION_CANNOT_BE_LOCKED = "com.microsoft:session-cannot-be-locked"
    TIMEOUT = "com.microsoft:timeout"
    DEAD_LETTER = "com.microsoft:dead-letter"


class BusError(Exception):
    """A request the bus refuses; the client sees the condition and the description.

    Attributes:
        condition: the symbol the client's SDK maps to an exception type.
        description: one sentence for a person.
    """

    def __init__(self, condition: Condition, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description


def message_not_found(sequence: int) -> BusError:
    """There is no message with this number in the state asked for."""
    return BusError(Condition.MESSAGE_NOT_FOUND, f"There is no such message with number {sequence} here.")
