"""AMQP 1.0 bytes to Python values."""

import struct
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
from emulator.bus.errors import BusError, Condition

_MAX_DEPTH = 64  # recursion bound; real messages nest a handful of levels
_CONSTANTS: dict[int, Value] = {0x40: None, 0x41: True, 0x42: False, 0x43: Uint(0), 0x44: Ulong(0)}
_NUMBERS: dict[int, tuple[struct.Struct, type]] = {
    code: (struct.Struct(layout), kind)
    for code, layout, kind in (
        (0x50, ">B", Ubyte),
        (0x51, ">b", Byte),
        (0x52, ">B", Uint),
        (0x53, ">B", Ulong),
        (0x54, ">b", Int),
        (0x55, ">b", int),
        (0x56, ">B", bool),
        (0x60, ">H", Ushort),
        (0x61, ">h", Short),
        (0x70, ">I", Uint),
        (0x71, ">i", Int),
        (0x72, ">f", Float),
        (0x80, ">Q", Ulong),
        (0x81, ">q", int),
        (0x82, ">d", float),
        (0x83, ">q", Timestamp),
    )
}
_OPAQUE_WIDTHS = {0x74: 4, 0x84: 8, 0x94: 16}
_UINT8 = struct.Struct(">B")
_UINT32 = struct.Struct(">I")


class Reader:
    """Reads values one after another from bytes.

    Attributes:
        offset: where the next value starts.
    """

    __slots__ = ("_depth", "data", "offset")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self.data = data
        self.offset = offset
        self._depth = 0

    def at_end(self) -> bool:
        """Whether everything was read."""
        return self.offset >= len(self.data)

    def value(self) -> Value:
        """Reads one value.

        Raises:
            BusError: `amqp:decode-error`, the bytes are not AMQP 1.0.
        """
        try:
            return self._value(self._code())
        except (IndexError, struct.error, UnicodeDecodeError, TypeError) as error:
            raise BusError(Condition.DECODE_ERROR, f"not an AMQP 1.0 value: {error}") from error

    def _code(self) -> int:
        code = self.data[self.offset]
        self.offset += 1
        return code

    def _take(self, size: int) -> bytes:
        end = self.offset + size
        if end > len(self.data):
            raise IndexError(f"{size} bytes wanted at {self.offset}, {len(self.data)} in all")
        raw = self.data[self.offset : end]
        self.offset = end
        return raw

    def _value(self, code: int) -> Value:
        if code in _NUMBERS:
            return self._number(code)
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        family = code >> 4
        if family in (0xA, 0xB):
            return self._text(code, _UINT8 if family == 0xA else _UINT32)
        return self._nested(code)

    def _number(self, code: int) -> Value:
        layout, kind = _NUMBERS[code]
        value = layout.unpack_from(self.data, self.offset)[0]
        self.offset += layout.size
        return value if kind in (int, float) else kind(value)

    def _text(self, code: int, width: struct.Struct) -> str | bytes:
        raw = self._take(width.unpack(self._take(width.size))[0])
        match code & 0x0F:
            case 0:
                return raw
            case 1:
                return raw.decode("utf-8")
            case 3:
                return Symbol(raw.decode("ascii"))
        raise IndexError(f"unknown constructor 0x{code:02x}")

    def _nested(self, code: int) -> Value:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise IndexError(f"nested deeper than {_MAX_DEPTH}")
        value = self._compound(code)
        self._depth -= 1
        return value

    def _compound(self, code: int) -> Value:  # noqa: PLR0911 - one line per type
        match code:
            case 0x00:
                return Described(self._value(self._code()), self._value(self._code()))
            case 0x45:
                return []
            case 0xC0 | 0xD0:
                return [self._value(self._code()) for _ in range(self._count(code))]
            case 0xC1 | 0xD1:
                return self._map(self._count(code))
            case 0xE0 | 0xF0:
                return self._array(self._count(code))
            case 0x98:
                return UUID(bytes=self._take(16))
            case 0x73:
                return Char(self._take(4).decode("utf-32-be"))
        if code in _OPAQUE_WIDTHS:
            return Opaque(code, self._take(_OPAQUE_WIDTHS[code]))
        raise IndexError(f"unknown constructor 0x{code:02x}")

    def _count(self, code: int) -> int:
        width = _UINT8 if code in (0xC0, 0xC1, 0xE0) else _UINT32
        size: int = width.unpack(self._take(width.size))[0]
        if size > len(self.data) - self.offset:
            raise IndexError(f"{size} bytes wanted at {self.offset}, {len(self.data)} in all")
        count: int = width.unpack(self._take(width.size))[0]
        if count > size and code not in (0xE0, 0xF0):
            raise IndexError(f"{count} items cannot lie in {size} bytes")
        return count

    def _map(self, count: int) -> dict[Value, Value]:
        if count % 2:
            raise IndexError("a map holds an even number of values")
        return {self._value(self._code()): self._value(self._code()) for _ in range(count // 2)}

    def _array(self, count: int) -> Array:
        code = self._code()
        descriptor = self._value(self._code()) if code == 0 else None
        element = self._code() if code == 0 else code
        if count > len(self.data) - self.offset and element != 0x40:
            raise IndexError(f"{count} items cannot lie in {len(self.data) - self.offset} bytes")
        if element == 0x40 and count:
            raise IndexError("an array of nulls carries nothing")
        items = tuple(self._value(element) for _ in range(count))
        return Array(items if code else tuple(Described(descriptor, item) for item in items))

    def skip(self) -> bytes:
        """Steps over one value and returns its bytes, constructor included.

        Raises:
            BusError: `amqp:decode-error`.
        """
        start = self.offset
        try:
            self._skip()
        except (IndexError, struct.error) as error:
            raise BusError(Condition.DECODE_ERROR, f"not an AMQP 1.0 value: {error}") from error
        return self.data[start : self.offset]

    def _skip(self) -> None:
        code = self._code()
        if code == 0:
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise IndexError(f"nested deeper than {_MAX_DEPTH}")
            self._skip()
            self._skip()
            self._depth -= 1
            return
        self._take(self._width(code))

    def _width(self, code: int) -> int:
        """Bytes after the constructor; the high nibble of the constructor says (part 1, figure 1.4)."""
        family = code >> 4
        if 0x4 <= family <= 0x9:
            return 0 if family == 0x4 else 1 << (family - 0x5)
        if family in (0xA, 0xC, 0xE):
            return int(self._take(1)[0])
        if family in (0xB, 0xD, 0xF):
            return int(_UINT32.unpack(self._take(4))[0])
        raise IndexError(f"unknown constructor 0x{code:02x}")


def decode(data: bytes) -> Value:
    """Decodes exactly one value.

    Raises:
        BusError: `amqp:decode-error`, also when bytes are left over.
    """
    reader = Reader(data)
    value = reader.value()
    if not reader.at_end():
        raise BusError(Condition.DECODE_ERROR, f"{len(data) - reader.offset} bytes after the value")
    return value
