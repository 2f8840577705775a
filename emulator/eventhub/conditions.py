"""Conditions of hub routes: a subset of IoT Hub's routing query language.

Understood: `true`, `false`, `IS_DEFINED(x)`, comparisons (`= != <> < <= > >=`), AND, OR, NOT, brackets; where x is
`$body.path`, `$connectionDeviceId` and the like (system properties), or the name of an application property.
As in IoT Hub, a comparison with something undefined is undefined, and a route whose condition is not
true does not match. Its documents promise IS_DEFINED for primitive values only: of an object or a list it is undefined
here, so that a route that leans on more is found.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>\$?[A-Za-z_][\w.$\-\[\]]*)"
    r"|(?P<sign><=|>=|!=|<>|[=<>()]))"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
UNDEFINED = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What a condition can look at."""

    body: Any
    properties: Mapping[str, str]
    system_properties: Mapping[str, str]


type Condition = Callable[[Routed], Any]


class ConditionError(ValueError):
    """A route's condition cannot be parsed; IoT Hub would refuse to save the route."""


def parse_condition(text: str) -> Callable[[Routed], bool]:
    """Compile a condition.

    Raises:
        ConditionError: not in the subset described above.
    """
    parser = _Parser(_tokens(text))
    condition = parser.either()
    if parser.peek():
        raise ConditionError(f"unexpected {parser.peek()!r} in {text!r}")
    return lambda message: condition(message) is True


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise ConditionError(f"cannot read {stripped[position:]!r}")
        found.append(match.group().strip())
        position = match.end()
    return found


class _Parser:
    """Recursive descent: either > both > negated > comparison > value."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0

    def peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def take(self, *expected: str) -> str:
        token = self.peek()
        if not token or (expected and token.upper() not in expected):
            raise ConditionError(f"expected {' or '.join(expected) or 'more'}, found {token!r}")
        self._next += 1
        return token

    def either(self) -> Condition:
        parts = [self.both()]
        while self.peek().upper() == "OR":
            self.take()
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda message: any(p(message) is True for p in parts)

    def both(self) -> Condition:
        parts = [self.negated()]
        while self.peek().upper() == "AND":
            self.take()
            parts.append(self.negated())
        return parts[0] if len(parts) == 1 else lambda message: all(p(message) is True for p in parts)

    def negated(self) -> Condition:
        if self.peek().upper() != "NOT":
            return self.comparison()
        self.take()
        part = self.negated()
        return lambda message: not found if isinstance(found := part(message), bool) else UNDEFINED

    def comparison(self) -> Condition:
        if self.peek() == "(":
            self.take()
            inner = self.either()
            self.take(")")
            return inner
        left = self.value()
        if self.peek() not in _COMPARE:
            return left
        compare, right = _COMPARE[self.take()], self.value()
        return lambda message: _compare(compare, left(message), right(message))

    def value(self) -> Condition:
        token = self.take()
        if token.upper() == "IS_DEFINED":
            self.take("(")
            inner = self.value()
            self.take(")")
            return lambda message: _is_defined(inner(message))
        if token.upper() in {"TRUE", "FALSE"}:
            return lambda _: token.upper() == "TRUE"
        return _literal_or_property(token)


def _literal_or_property(token: str) -> Condition:
    if token.startswith("'"):
        text = token[1:-1].replace("''", "'")
        return lambda _: text
    if token[0].isdigit() or token[0] == "-":
        number = float(token)
        return lambda _: number
    if token.lower().startswith("$body."):
        return lambda message: _walk(message.body, token[len("$body.") :].split("."))
    if token.startswith("$"):
        return lambda message: _system(message, token[1:])
    return lambda message: message.properties.get(token, UNDEFINED)


def _walk(body: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(body, dict) or name not in body:
            return UNDEFINED
        body = body[name]
    return body


def _system(message: Routed, name: str) -> Any:
    """`$connectionDeviceId` names system property `iothub-connection-device-id`, `$contentType` `content-type`."""
    dashed = re.sub(r"([A-Z])", lambda match: "-" + match[1].lower(), name)
    found = message.system_properties
    return found.get(dashed, found.get(f"iothub-{dashed}", UNDEFINED))


def _is_defined(value: Any) -> Any:
    return UNDEFINED if isinstance(value, dict | list) else value is not UNDEFINED


def _compare(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> Any:
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    try:
        return compare(left, right)
    except TypeError:
        return UNDEFINED
