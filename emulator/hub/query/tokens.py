"""Cuts a query into tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from emulator.hub.errors import HubError, invalid


class TokenKind(StrEnum):
    """The kinds of tokens."""

    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    SYMBOL = "symbol"
    END = "end of the query"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind, its text (a string's without quotes and escapes), and where it starts (from 1)."""

    kind: TokenKind
    text: str
    position: int

    def is_word(self, word: str) -> bool:
        """Whether this is that keyword, in any case."""
        return self.kind is TokenKind.NAME and self.text.upper() == word

    def is_symbol(self, symbol: str) -> bool:
        return self.kind is TokenKind.SYMBOL and self.text == symbol


_SYMBOLS = ("<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", "[", "]", ",", ".", "*", "-")
_ESCAPES = {"'": "'", '"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r", "/": "/"}
_QUOTED_NAME = "[["
_UNICODE_DIGITS = 4


def refused(what: str, position: int) -> HubError:
    """A 400 that names the place (from 1)."""
    return invalid(f"The query is not understood at character {position}: {what}")


def tokenize(text: str) -> Iterator[Token]:
    """The tokens of ``text``, an END last.

    Raises:
        HubError: 400004.
    """
    offset = 0
    while offset < len(text):
        if text[offset].isspace():
            offset += 1
            continue
        token, offset = _next_token(text, offset)
        yield token
    yield Token(TokenKind.END, "", len(text) + 1)


def _next_token(text: str, start: int) -> tuple[Token, int]:
    first = text[start]
    if first in "'\"":
        return _read_string(text, start)
    if text.startswith(_QUOTED_NAME, start):
        return _read_quoted_name(text, start)
    if first.isdigit():
        return _read_number(text, start)
    if _in_name(first):
        end = start
        while end < len(text) and _in_name(text[end]):
            end += 1
        return Token(TokenKind.NAME, text[start:end], start + 1), end
    for symbol in _SYMBOLS:
        if text.startswith(symbol, start):
            return Token(TokenKind.SYMBOL, symbol, start + 1), start + len(symbol)
    raise refused(f"unexpected {first!r}", start + 1)


def _in_name(character: str) -> bool:
    return character.isalnum() or character in "_$"


def _read_string(text: str, start: int) -> tuple[Token, int]:
    quote, offset, characters = text[start], start + 1, []
    while offset < len(text):
        character = text[offset]
        if character == "\\":
            escaped, offset = _read_escape(text, offset)
            characters.append(escaped)
        elif character != quote:
            characters.append(character)
            offset += 1
        elif text.startswith(quote * 2, offset):
            characters.append(quote)
            offset += 2
        else:
            return Token(TokenKind.STRING, "".join(characters), start + 1), offset + 1
    raise refused("a string has no end", start + 1)


def _read_escape(text: str, backslash: int) -> tuple[str, int]:
    kind = text[backslash + 1 : backslash + 2]
    if kind in _ESCAPES:
        return _ESCAPES[kind], backslash + 2
    end = backslash + 2 + _UNICODE_DIGITS
    digits = text[backslash + 2 : end]
    if kind == "u" and len(digits) == _UNICODE_DIGITS:
        try:
            return chr(int(digits, 16)), end
        except ValueError:
            pass
    raise refused("an unknown escape", backslash + 1)


def _read_quoted_name(text: str, start: int) -> tuple[Token, int]:
    end = text.find("]]", start)
    if end < 0:
        raise refused("'[[' without ']]'", start + 1)
    return Token(TokenKind.NAME, text[start + len(_QUOTED_NAME) : end], start + 1), end + 2


def _read_number(text: str, start: int) -> tuple[Token, int]:
    end = start
    while end < len(text) and (text[end].isalnum() or text[end] == "." or _is_exponent_sign(text, end)):
        end += 1
    number = text[start:end]
    try:
        float(number)
    except ValueError:
        raise refused(f"{number!r} is no number", start + 1) from None
    return Token(TokenKind.NUMBER, number, start + 1), end


def _is_exponent_sign(text: str, offset: int) -> bool:
    return text[offset] in "+-" and text[offset - 1] in "eE"
