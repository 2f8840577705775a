"""Python values to AMQP 1.0 bytes."""

import struct
from collections.abc import Callable, Iterable
from uuid import UUID

from emulator.bus.amqp.types import (
    Array,
    Byte,
    Char,
    Described,
    Float,
    Int,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
    Value,
)

_FIXED: dict[type, tuple[int, str]] = {
    Ubyte: (0x50, ">B"),
    Byte: (0x51, ">b"),
    Ushort: (0x60, ">H"),
    Short: (0x61, ">h"),
    Uint: (0x70, ">I"),
    Int: (0x71, ">i"),
    Float: (0x72, ">f"),
    Ulong: (0x80, ">Q"),
    int: (0x81, ">q"),
    float: (0x82, ">d"),
    Timestamp: (0x83, ">q"),
}
_TEXT: dict[type, tuple[int, int]] = {bytes: (0xA0, 0xB0), str: (0xA1, 0xB1), Symbol: (0xA3, 0xB3)}


def encode(value: Value) -> bytes:
    """Encodes one value with its constructor.

    Raises:
        TypeError: the value has no AMQP type.
        struct.error: a number does not fit its width.
    """
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise TypeError(f"{type(value).__name__} has no AMQP 1.0 encoding")
    return encoder(value)


def _fixed(value: Value) -> bytes:
    code, layout = _FIXED[type(value)]
    return bytes((code,)) + struct.pack(layout, value)


def _uint(value: int) -> bytes:
    if value == 0:
        return b"\x43"
    return bytes((0x52, value)) if 0 < value < 256 else _fixed(value)


def _ulong(value: int) -> bytes:
    if value == 0:
        return b"\x44"
    return bytes((0x53, value)) if 0 < value < 256 else _fixed(value)


def _as_bytes(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode("ascii" if isinstance(value, Symbol) else "utf-8")


def _text(value: str | bytes) -> bytes:
    raw = _as_bytes(value)
    small, large = _TEXT[type(value)]
    if len(raw) < 256:
        return bytes((small, len(raw))) + raw
    return bytes((large,)) + struct.pack(">I", len(raw)) + raw


def _compound(small: int, large: int, count: int, body: bytes) -> bytes:
    if count < 256 and len(body) < 255:
        return bytes((small, len(body) + 1, count)) + body
    return bytes((large,)) + struct.pack(">II", len(body) + 4, count) + body


def encode_list(items: Iterable[bytes]) -> bytes:
    """Wraps already encoded items in a list."""
    parts = list(items)
    return _compound(0xC0, 0xD0, len(parts), b"".join(parts)) if parts else b"\x45"


def encode_map(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Wraps already encoded keys and values in a map."""
    parts = [part for pair in pairs for part in pair]
    return _compound(0xC1, 0xD1, len(parts), b"".join(parts))


def _list(value: list[Value]) -> bytes:
    return encode_list(map(encode, value))


def _map(value: dict[Value, Value]) -> bytes:
    return encode_map((encode(key), encode(item)) for key, item in value.items())


def _array(value: Array) -> bytes:
    if not value.items:
        return b"\xe0\x02\x00\x40"
    code = _array_code(value.items[0])
    body = bytes((code,)) + b"".join(_array_item(code, item) for item in value.items)
    return _compound(0xE0, 0xF0, len(value.items), body)


def _array_code(item: Value) -> int:
    """One constructor that fits every item of the array: always the widest."""
    kind = type(item)
    if kind in _TEXT:
        return _TEXT[kind][1]
    codes = {bool: 0x56, UUID: 0x98, list: 0xD0, dict: 0xD1}
    if kind in codes:
        return codes[kind]
    return _FIXED[kind][0]


def _array_item(code: int, item: Value) -> bytes:
    if code == 0x56:
        return bytes((item,))
    if isinstance(item, str | bytes):
        raw = _as_bytes(item)
        return struct.pack(">I", len(raw)) + raw
    if isinstance(item, list | dict):
        parts = [encode(part) for part in _flat(item)]
        body = b"".join(parts)
        return struct.pack(">II", len(body) + 4, len(parts)) + body
    return item.bytes if isinstance(item, UUID) else _fixed(item)[1:]


def _flat(item: list[Value] | dict[Value, Value]) -> list[Value]:
    return item if isinstance(item, list) else [part for pair in item.items() for part in pair]


_ENCODERS: dict[type, Callable[[Value], bytes]] = {
    **dict.fromkeys(_FIXED, _fixed),
    **dict.fromkeys(_TEXT, _text),
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    Uint: _uint,
    Ulong: _ulong,
    bytearray: lambda value: _text(bytes(value)),
    UUID: lambda value: b"\x98" + value.bytes,
    Char: lambda value: b"\x73" + value.text.encode("utf-32-be"),
    Opaque: lambda value: bytes((value.code,)) + value.raw,
    list: _list,
    dict: _map,
    Array: _array,
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
}
