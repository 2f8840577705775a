"""Recursive descent from tokens to :class:`Query`."""

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
    Operand,
    Path,
    Projection,
    Query,
)
from emulator.hub.query.tokens import Token, TokenKind, refused, tokenize

_COMPARATORS = {comparator.value: comparator for comparator in Comparator} | {"<>": Comparator.NOT_EQUAL}
_LITERALS = {"TRUE": True, "FALSE": False, "NULL": None}
_ARITY = {Function.IS_DEFINED: 1, Function.STARTS_WITH: 2, Function.ENDS_WITH: 2}
_MAX_NESTING = 50
_DEFAULT_COUNT_NAME = "numberOfDevices"


def parse_query(text: str) -> Query:
    """Understand a query.

    Raises:
        HubError: 400004, with the place and the reason.
    """
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(tokenize(text))
        self._index = 0
        self._nesting = 0

    def query(self) -> Query:
        self._expect_word("SELECT")
        projections, count_as = self._selection()
        self._expect_word("FROM")
        self._expect_word("DEVICES")
        condition = self._disjunction() if self._accept_word("WHERE") else None
        if self._token.kind is not TokenKind.END:
            raise self._unexpected("WHERE, AND, OR or the end")
        return Query(projections=projections, count_as=count_as, condition=condition)

    def _selection(self) -> tuple[list[Projection] | None, str | None]:
        if self._accept_symbol("*"):
            return None, None
        if self._token.is_word("COUNT") and self._peek().is_symbol("("):
            return None, self._count()
        projections = [self._projection()]
        while self._accept_symbol(","):
            projections.append(self._projection())
        return projections, None

    def _count(self) -> str:
        self._advance()
        self._expect_symbol("(")
        self._expect_symbol(")")
        return self._name() if self._accept_word("AS") else _DEFAULT_COUNT_NAME

    def _projection(self) -> Projection:
        path = self._path()
        return Projection(path, self._name() if self._accept_word("AS") else path.parts[-1])

    def _disjunction(self) -> Condition:
        condition = self._conjunction()
        while self._accept_word("OR"):
            condition = Either(condition, self._conjunction())
        return condition

    def _conjunction(self) -> Condition:
        condition = self._negation()
        while self._accept_word("AND"):
            condition = Both(condition, self._negation())
        return condition

    def _negation(self) -> Condition:
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            raise refused(f"conditions may be nested {_MAX_NESTING} deep", self._token.position)
        condition = Not(self._negation()) if self._accept_word("NOT") else self._term()
        self._nesting -= 1
        return condition

    def _term(self) -> Condition:
        if self._accept_symbol("("):
            condition = self._disjunction()
            self._expect_symbol(")")
            return condition
        if self._token.kind is TokenKind.NAME and self._peek().is_symbol("("):
            return self._call()
        return self._comparison(self._operand())

    def _call(self) -> Call:
        name = self._advance()
        try:
            function = Function(name.text.lower())
        except ValueError:
            raise refused(f"there is no function {name.text!r}", name.position) from None
        self._expect_symbol("(")
        arguments = [self._operand()]
        while self._accept_symbol(","):
            arguments.append(self._operand())
        self._expect_symbol(")")
        if len(arguments) != _ARITY[function]:
            raise refused(f"{name.text} takes {_ARITY[function]} argument(s)", name.position)
        return Call(function, tuple(arguments))

    def _comparison(self, left: Operand) -> Condition:
        if self._accept_word("IN"):
            return Membership(left, self._constants(), negated=False)
        if self._accept_word("NIN"):
            return Membership(left, self._constants(), negated=True)
        comparator = _COMPARATORS.get(self._token.text) if self._token.kind is TokenKind.SYMBOL else None
        if comparator is None:
            return left
        self._advance()
        return Comparison(left, comparator, self._operand())

    def _constants(self) -> tuple[Constant, ...]:
        self._expect_symbol("[")
        constants = [self._constant()]
        while self._accept_symbol(","):
            constants.append(self._constant())
        self._expect_symbol("]")
        return tuple(constants)

    def _constant(self) -> Constant:
        operand = self._operand()
        if isinstance(operand, Path):
            raise self._unexpected("a constant")
        return operand

    def _operand(self) -> Operand:
        if self._token.kind is TokenKind.STRING:
            return Constant(self._advance().text)
        if self._accept_symbol("-"):
            return Constant(-self._number())
        if self._token.kind is TokenKind.NUMBER:
            return Constant(self._number())
        if self._token.kind is TokenKind.NAME and self._token.text.upper() in _LITERALS:
            return Constant(_LITERALS[self._advance().text.upper()])
        return self._path()

    def _number(self) -> float:
        if self._token.kind is not TokenKind.NUMBER:
            raise self._unexpected("a number")
        text = self._advance().text
        return int(text) if text.isdigit() else float(text)

    def _path(self) -> Path:
        parts = [self._name()]
        while self._accept_symbol("."):
            parts.append(self._name())
        return Path(tuple(parts))

    def _name(self) -> str:
        if self._token.kind is not TokenKind.NAME:
            raise self._unexpected("a name")
        return self._advance().text

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _peek(self) -> Token:
        return self._tokens[min(self._index + 1, len(self._tokens) - 1)]

    def _advance(self) -> Token:
        token = self._token
        self._index = min(self._index + 1, len(self._tokens) - 1)
        return token

    def _accept_word(self, word: str) -> bool:
        if not self._token.is_word(word):
            return False
        self._advance()
        return True

    def _accept_symbol(self, symbol: str) -> bool:
        if not self._token.is_symbol(symbol):
            return False
        self._advance()
        return True

    def _expect_word(self, word: str) -> None:
        if not self._accept_word(word):
            raise self._unexpected(word)

    def _expect_symbol(self, symbol: str) -> None:
        if not self._accept_symbol(symbol):
            raise self._unexpected(repr(symbol))

    def _unexpected(self, wanted: str) -> Exception:
        found = repr(self._token.text) if self._token.text else self._token.kind.value
        return refused(f"expected {wanted}, found {found}", self._token.position)
