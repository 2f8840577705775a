"""Python shapes of AMQP 1.0 primitive types (part 1, section 1.6).

A plain ``int`` is an AMQP long, a plain ``float`` a double, ``str`` a string, ``bytes`` a binary,
``list`` a list, ``dict`` a map, ``None`` null. The other widths are subclasses, so that a decoded value
encodes back to the type it came from.
"""

from dataclasses import dataclass
from typing import Any

type Value = Any


class Ubyte(int):
    """Unsigned, 8 bits."""

    __slots__ = ()


class Ushort(int):
    """Unsigned, 16 bits."""

    __slots__ = ()


class Uint(int):
    """Unsigned, 32 bits."""

    __slots__ = ()


class Ulong(int):
    """Unsigned, 64 bits."""

    __slots__ = ()


class Byte(int):
    """Signed, 8 bits."""

    __slots__ = ()


class Short(int):
    """Signed, 16 bits."""

    __slots__ = ()


class Int(int):
    """Signed, 32 bits."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970-01-01 UTC, signed, 64 bits."""

    __slots__ = ()


class Float(float):
    """IEEE 754 binary32."""

    __slots__ = ()


class Symbol(str):
    """ASCII text from a constrained domain."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Char:
    """One Unicode character, UTF-32BE on the wire."""

    text: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """A fixed-width value nobody here computes with (decimal32, decimal64, decimal128)."""

    code: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor, which says what the value means."""

    descriptor: Value
    value: Value


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type."""

    items: tuple[Value, ...]
