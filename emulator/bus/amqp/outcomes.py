"""Delivery states and errors (part 3, section 3.4; part 2, section 2.8.14)."""

from dataclasses import dataclass
from enum import StrEnum

from emulator.bus.amqp.types import Described, Symbol, Ulong, Value
from emulator.bus.errors import BusError, Condition


class Settlement(StrEnum):
    """What a receiver decides about a message; the values are the words `$management` uses."""

    COMPLETE = "completed"
    ABANDON = "abandoned"
    DEFER = "defered"
    DEAD_LETTER = "suspended"
    RELEASE = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A settlement with the reason a dead-lettering receiver gave."""

    settlement: Settlement
    reason: str | None = None
    description: str | None = None


ACCEPTED = Described(Ulong(0x24), [])
RELEASED = Described(Ulong(0x26), [])


def write_error(error: BusError) -> Described:
    """An AMQP error. All three fields are present: the Python SDK reads the info map unasked."""
    return Described(Ulong(0x1D), [Symbol(error.condition), error.description, {}])


def write_rejected(error: BusError) -> Described:
    """The state `rejected` with its cause."""
    return Described(Ulong(0x25), [write_error(error)])


def confirmed(state: Value) -> Value:
    """The state that confirms a settlement: the one asked for.

    `rejected` goes back bare. With an error in it, the client would take it for a refusal.
    """
    is_rejected = isinstance(state, Described) and state.descriptor == 0x25
    return Described(Ulong(0x25), []) if is_rejected else state


def read_verdict(state: Value) -> Verdict:
    """What a receiver's delivery state asks for.

    Service Bus reads `modified` with `undeliverable-here` as defer and without as abandon, and takes the
    dead-letter reason from the info map of `rejected`.

    Raises:
        BusError: `amqp:not-implemented`, the state is none of those.
    """
    if not isinstance(state, Described) or not isinstance(state.value, list):
        raise BusError(Condition.NOT_IMPLEMENTED, "the disposition names no outcome")
    match state.descriptor:
        case 0x24:
            return Verdict(settlement=Settlement.COMPLETE)
        case 0x25:
            return _read_rejected(state.value)
        case 0x26:
            return Verdict(settlement=Settlement.RELEASE)
        case 0x27:
            return _read_modified(state.value)
    raise BusError(Condition.NOT_IMPLEMENTED, f"outcome {state.descriptor!r} is not supported")


def _read_modified(values: list[Value]) -> Verdict:
    failed, elsewhere = [*values, None, None][:2]
    if elsewhere:
        return Verdict(settlement=Settlement.DEFER)
    return Verdict(settlement=Settlement.ABANDON if failed else Settlement.RELEASE)


def _read_rejected(values: list[Value]) -> Verdict:
    error = values[0].value if values and isinstance(values[0], Described) else []
    info = error[2] if len(error) > 2 and isinstance(error[2], dict) else {}
    return Verdict(
        settlement=Settlement.DEAD_LETTER,
        reason=_text(info.get("DeadLetterReason")),
        description=_text(info.get("DeadLetterErrorDescription")),
    )


def _text(value: Value) -> str | None:
    return None if value is None else str(value)
