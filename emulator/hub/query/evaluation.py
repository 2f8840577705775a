"""Turns conditions and paths into functions of a device.

Comparisons follow the documented rule that only primitives compare: where a property is missing, or the two sides are
of different types, the comparison is neither true nor false, its negation neither, and the device is not selected.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from emulator.hub.devices import Device
from emulator.hub.query.paths import UNDEFINED, Getter, operand_getter, path_getter
from emulator.hub.query.syntax import (
    Both,
    Call,
    Comparator,
    Comparison,
    Condition,
    Constant,
    Either,
    Function,
    Membership,
    Not,
    Path,
    Query,
    Row,
)
from emulator.hub.views import write_twin


def compile_filter(query: Query) -> Callable[[Device], bool]:
    """Whether a device is selected.

    Raises:
        HubError: 400004, a path that no twin has.
    """
    if query.condition is None:
        return lambda _: True
    condition = _condition(query.condition)
    return lambda device: condition(device) is True


def compile_rows(query: Query) -> Callable[[Device], Row]:
    """What is shown of a device; a projected path that it lacks is left out.

    Raises:
        HubError: 400004, a path that no twin has.
    """
    if query.projections is None:
        return write_twin
    columns = [(projection.name, path_getter(projection.path)) for projection in query.projections]

    def row(device: Device) -> Row:
        shown = ((name, value(device)) for name, value in columns)
        return {name: value for name, value in shown if value is not UNDEFINED}

    return row


def _condition(condition: Condition) -> Getter:
    match condition:
        case Both(left, right):
            return _both(_condition(left), _condition(right))
        case Either(left, right):
            return _either(_condition(left), _condition(right))
        case Not(inner):
            return _negated(_condition(inner))
        case Path() | Constant():
            return operand_getter(condition)
    return _test(condition)


def _test(test: Comparison | Membership | Call) -> Getter:
    match test:
        case Comparison():
            return _comparison(test)
        case Membership():
            return _membership(test)
        case Call():
            return _call(test)


def _both(left: Getter, right: Getter) -> Getter:
    def both(device: Device) -> Any:
        first = left(device)
        if first is False:
            return False
        second = right(device)
        if second is False:
            return False
        return True if first is True and second is True else UNDEFINED

    return both


def _either(left: Getter, right: Getter) -> Getter:
    def either(device: Device) -> Any:
        first = left(device)
        if first is True:
            return True
        second = right(device)
        if second is True:
            return True
        return False if first is False and second is False else UNDEFINED

    return either


def _negated(inner: Getter) -> Getter:
    def negated(device: Device) -> Any:
        value = inner(device)
        return not value if isinstance(value, bool) else UNDEFINED

    return negated


_OPERATORS: Mapping[Comparator, Callable[[Any, Any], bool]] = {
    Comparator.EQUAL: operator.eq,
    Comparator.NOT_EQUAL: operator.ne,
    Comparator.LESS: operator.lt,
    Comparator.LESS_OR_EQUAL: operator.le,
    Comparator.GREATER: operator.gt,
    Comparator.GREATER_OR_EQUAL: operator.ge,
}
_EQUALITY = frozenset({Comparator.EQUAL, Comparator.NOT_EQUAL})


def _comparison(comparison: Comparison) -> Getter:
    left, right = operand_getter(comparison.left), operand_getter(comparison.right)
    compare = _OPERATORS[comparison.comparator]
    types = _COMPARABLE if comparison.comparator in _EQUALITY else _ORDERED

    def compared(device: Device) -> Any:
        first, second = left(device), right(device)
        kind = _type_of(first)
        return compare(first, second) if kind in types and kind == _type_of(second) else UNDEFINED

    return compared


_COMPARABLE = frozenset({"string", "number", "boolean", "null"})
_ORDERED = frozenset({"string", "number"})


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case None:
            return "null"
    return "other"


def _membership(membership: Membership) -> Getter:
    operand = operand_getter(membership.operand)
    wanted = {(_type_of(constant.value), constant.value) for constant in membership.constants}
    negated = membership.negated

    def member(device: Device) -> Any:
        value = operand(device)
        kind = _type_of(value)
        return ((kind, value) in wanted) is not negated if kind in _COMPARABLE else UNDEFINED

    return member


def _call(call: Call) -> Getter:
    first = operand_getter(call.arguments[0])
    if call.function is Function.IS_DEFINED:
        return lambda device: first(device) is not UNDEFINED
    second = operand_getter(call.arguments[1])
    test = str.startswith if call.function is Function.STARTS_WITH else str.endswith

    def called(device: Device) -> Any:
        text, part = first(device), second(device)
        return test(text, part) if isinstance(text, str) and isinstance(part, str) else UNDEFINED

    return called
