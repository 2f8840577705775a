"""Versions and their order.

Two schemes. Debian packages follow the Debian policy manual (section 5.6.12), because that is what dpkg will decide by.
Everything else is dotted numbers with an optional pre-release, ordered as Semantic Versioning 2.0 (section 11) orders
them, with one to four numbers allowed.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import total_ordering

from shared.domain.errors import InvalidId

MAX_VERSION_LENGTH = 100


class VersionScheme(StrEnum):
    """How a version is read and ordered."""

    DOTTED = "dotted"
    DEBIAN = "debian"


_DOTTED = re.compile(
    r"v?(?P<numbers>(?:0|[1-9][0-9]{0,9})(?:\.(?:0|[1-9][0-9]{0,9})){0,3})"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_DEBIAN = re.compile(
    r"(?:(?P<epoch>[0-9]{1,9}):)?(?P<upstream>[0-9][A-Za-z0-9.+~-]*?)(?:-(?P<revision>[A-Za-z0-9+.~]+))?(?<!-)"
)

type _DottedKey = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]
type _DebianKey = tuple[int, tuple[tuple[tuple[int, ...], int], ...], tuple[tuple[tuple[int, ...], int], ...]]


@total_ordering
class Version:
    """A version that knows its place among others of its scheme.

    Raises:
        InvalidId: The text is no version under the scheme.
    """

    __slots__ = ("_key", "scheme", "text")

    def __init__(self, text: str, scheme: VersionScheme = VersionScheme.DOTTED) -> None:
        if len(text) > MAX_VERSION_LENGTH:
            raise InvalidId(f"a version has at most {MAX_VERSION_LENGTH} characters, this one {len(text)}")
        self.text = text
        self.scheme = scheme
        self._key: _DottedKey | _DebianKey = _dotted_key(text) if scheme is VersionScheme.DOTTED else _debian_key(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.scheme is other.scheme and self._key == other._key

    def __lt__(self, other: Version) -> bool:
        if self.scheme is not other.scheme:
            raise InvalidId(f"{self.text!r} ({self.scheme}) and {other.text!r} ({other.scheme}) have no order")
        return self._key < other._key  # type: ignore[operator]

    def __hash__(self) -> int:
        return hash((self.scheme, self._key))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Version({self.text!r}, {self.scheme.value!r})"


def is_newer(text: str, than: Version) -> bool:
    """Whether a device's version is higher; what is no version under the scheme of the other has no place beside it."""
    try:
        return Version(text, than.scheme) > than
    except InvalidId:
        return False


def _dotted_key(text: str) -> _DottedKey:
    match = _DOTTED.fullmatch(text)
    if match is None:
        raise InvalidId(f"{text!r} is no version: use one to four numbers with dots, such as 1.4.2 or 2.0.0-rc.1")
    numbers = tuple(int(part) for part in match["numbers"].split("."))
    padded = numbers + (0,) * (4 - len(numbers))
    pre = match["pre"]
    identifiers = tuple(_identifier_key(part) for part in pre.split(".")) if pre else ()
    return padded, 0 if pre else 1, identifiers


def _identifier_key(part: str) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isdigit() else (1, 0, part)


def _debian_key(text: str) -> _DebianKey:
    match = _DEBIAN.fullmatch(text)
    if match is None:
        raise InvalidId(f"{text!r} is no Debian version: use [epoch:]upstream[-revision], such as 1:2.4.1-3")
    return int(match["epoch"] or 0), _debian_part(match["upstream"]), _debian_part(match["revision"] or "0")


def _debian_part(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Alternating runs of non-digits and digits, padded so that tuples compare as dpkg compares."""
    runs = re.findall(r"([^0-9]*)([0-9]*)", text)
    return tuple((_debian_letters(letters), int(digits or 0)) for letters, digits in runs)


def _debian_letters(letters: str) -> tuple[int, ...]:
    """``~`` sorts before the end, letters before everything else; the end itself is 0."""
    return (*(_debian_weight(character) for character in letters), 0)


def _debian_weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
