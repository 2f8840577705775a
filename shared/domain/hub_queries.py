"""IoT Hub queries over ``devices``, as far as their syntax can be judged without asking the hub.

The grammar is a little wider than the one in the IoT Hub query language reference, so that nothing the hub would take
is refused here; what is refused here, the hub would refuse too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'(?:\\.|''|[^'\\])*'|"(?:\\.|""|[^"\\])*")
    |(?P<name>[^\W\d][\w$]*|\$\w+|\[\[.+?\]\])
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
    |(?P<symbol><=|>=|<>|!=|[=<>()\[\],.+*/%-])
    )""",
    re.VERBOSE | re.DOTALL,
)
_SELECT = re.compile(
    r"\s*SELECT\s+(?:\*|[\w.,\s]+?)\s+FROM\s+devices(?:\s+WHERE\s+(?P<condition>\S.*))?\s*", re.IGNORECASE | re.DOTALL
)
_BINARY = frozenset({"AND", "OR", "=", "!=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"})
_RESERVED = frozenset(
    {
        "AND",
        "AS",
        "BETWEEN",
        "BY",
        "FROM",
        "GROUP",
        "IN",
        "JOIN",
        "LIKE",
        "NIN",
        "NOT",
        "OR",
        "ORDER",
        "SELECT",
        "WHERE",
    }
)
_FUNCTIONS = frozenset(
    {"ABS", "AS_NUMBER", "CEILING", "CONCAT", "CONTAINS", "ENDS_WITH", "ENDSWITH", "EXP", "FLOOR", "INDEX_OF"}
    | {"IS_ARRAY", "IS_BOOL", "IS_DEFINED", "IS_NULL", "IS_NUMBER", "IS_OBJECT", "IS_PRIMITIVE", "IS_STRING"}
    | {"LENGTH", "LOWER", "POWER", "SIGN", "SQRT", "SQUARE", "STARTS_WITH", "STARTSWITH", "SUBSTRING", "UPPER"}
)
_MAX_NESTING = 50
_MAX_NAMES, _MAX_NAMES_LENGTH = 100, 4_000
"""Ids that one query names, and their characters: a page of an answer holds a hundred devices, and how long a query
may be is documented nowhere."""


def check_query(query: str) -> None:
    """Return if the text is a query that finds devices.

    Raises:
        DomainError: It is not (code ``query_refused``).
    """
    if (found := _SELECT.fullmatch(query)) is None:
        raise _refused("only SELECT … FROM devices, with or without WHERE, finds devices")
    if found["condition"] is not None:
        _Parser(query, found.start("condition")).check()


def check_condition(condition: str) -> None:
    """Return if the text may stand behind ``WHERE``.

    Raises:
        DomainError: It may not (code ``query_refused``).
    """
    _Parser(condition, 0).check()


def narrow_query(query: str, condition: str) -> str:
    """The query for those of its devices that meet the condition as well."""
    found = _SELECT.fullmatch(query)
    if found is None or found["condition"] is None:
        return query_where(condition)
    return query_where(f"({found['condition'].strip()}) AND ({condition})")


def queries_among(query: str, devices: Iterable[DeviceId]) -> Iterator[str]:
    """Queries for those of the query's devices that are among these, as many as it takes.

    To ask for all the others instead is no way: where a property is not there, ``NOT (tags.lab = true)`` is no more
    true than what it negates.
    """
    names: list[str] = []
    for device in devices:
        name = "'" + device.replace("'", "\\'") + "'"
        if names and (len(names) >= _MAX_NAMES or sum(map(len, names)) + len(name) > _MAX_NAMES_LENGTH):
            yield narrow_query(query, f"deviceId IN [{', '.join(names)}]")
            names = []
        names.append(name)
    if names:
        yield narrow_query(query, f"deviceId IN [{', '.join(names)}]")


def query_where(condition: str) -> str:
    """The query for all devices that meet the condition."""
    return f"SELECT * FROM devices WHERE {condition}"  # noqa: S608 - the operator's own words, checked


def _refused(why: str) -> DomainError:
    return DomainError(why, code="query_refused")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int

    @property
    def word(self) -> str:
        """Keyword, operator or function name in upper case; empty for a string or a number."""
        return self.text.upper() if self.kind in ("name", "symbol") else ""


class _Parser:
    """Recursive descent that keeps nothing: it only finds the place where a condition stops making sense."""

    def __init__(self, text: str, start: int) -> None:
        self._tokens = list(_tokenize(text, start))
        self._index = 0
        self._nesting = 0

    def check(self) -> None:
        self._expression()
        if self._token.kind != "end":
            raise self._unexpected("an operator or the end")

    def _expression(self) -> None:
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            raise _refused(f"conditions may be nested {_MAX_NESTING} deep")
        self._operand()
        while True:
            if self._token.word in ("IN", "NIN"):
                self._advance()
                self._list("[", "]")
            elif self._token.word in _BINARY:
                self._advance()
                self._operand()
            else:
                break
        self._nesting -= 1

    def _operand(self) -> None:
        while self._token.word in ("NOT", "-", "+"):
            self._advance()
        token = self._token
        if token.kind in ("string", "number"):
            self._advance()
        elif token.word == "(":
            self._advance()
            self._expression()
            self._expect(")")
        elif token.word == "[":
            self._list("[", "]")
        elif token.kind == "name" and token.word not in _RESERVED:
            self._named()
        else:
            raise self._unexpected("a property, a value or a parenthesis")

    def _named(self) -> None:
        name = self._advance()
        if self._token.word == "(":
            if name.word not in _FUNCTIONS:
                raise _refused(f"at character {name.position}: there is no function {name.text[:40]!r}")
            self._list("(", ")")
            return
        while self._token.word in (".", "["):
            if self._advance().word == "[":
                self._expression()
                self._expect("]")
            elif self._advance().kind != "name":
                self._index -= 1
                raise self._unexpected("the name of a property")

    def _list(self, first: str, last: str) -> None:
        self._expect(first)
        self._expression()
        while self._token.word == ",":
            self._advance()
            self._expression()
        self._expect(last)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._index]

    def _advance(self) -> _Token:
        token = self._token
        self._index = min(self._index + 1, len(self._tokens) - 1)
        return token

    def _expect(self, symbol: str) -> None:
        if self._token.word != symbol:
            raise self._unexpected(repr(symbol))
        self._advance()

    def _unexpected(self, wanted: str) -> DomainError:
        token = self._token
        found = repr(token.text[:40]) if token.text else "the end"
        return _refused(f"at character {token.position}: expected {wanted}, found {found}")


def _tokenize(text: str, start: int) -> Iterator[_Token]:
    end = len(text.rstrip())
    while start < end:
        found = _TOKEN.match(text, start)
        if found is None or found.lastgroup is None:
            place = start + len(text[start:]) - len(text[start:].lstrip())
            what = "a string has no end" if text[place] in "'\"" else f"unexpected {text[place]!r}"
            raise _refused(f"at character {place + 1}: {what}")
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup) + 1)
        start = found.end()
    yield _Token("end", "", end + 1)
