"""Cutting a byte stream into frames and protocol headers (part 2, sections 2.2 and 2.3)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from emulator.bus.errors import BusError, Condition

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"
_PREFIX = struct.Struct(">IBBH")


class FrameType(IntEnum):
    """The type byte of a frame."""

    AMQP = 0
    SASL = 1


@dataclass(frozen=True, slots=True)
class ProtocolHeader:
    """The eight bytes that open a protocol layer."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; an empty body is a heartbeat."""

    kind: int
    channel: int
    body: bytes


def write_frame(kind: FrameType, channel: int, body: bytes) -> bytes:
    """A frame with the shortest possible data offset, 2 words."""
    return _PREFIX.pack(len(body) + 8, 2, kind, channel) + body


class FrameBuffer:
    """Collects bytes as they arrive and yields what is complete."""

    __slots__ = ("_buffer", "_max_frame_size")

    def __init__(self, max_frame_size: int) -> None:
        self._buffer = bytearray()
        self._max_frame_size = max_frame_size

    def feed(self, data: bytes) -> Iterator[ProtocolHeader | Frame]:
        """Adds bytes and yields every complete frame.

        Raises:
            BusError: `amqp:connection:framing-error`, the stream cannot be followed any further.
        """
        self._buffer += data
        while len(self._buffer) >= 8:
            if self._buffer.startswith(b"AMQP"):
                yield ProtocolHeader(self._cut(8))
                continue
            size, offset_words, kind, channel = _PREFIX.unpack_from(self._buffer)
            self._check(size, offset_words)
            if len(self._buffer) < size:
                return
            yield Frame(kind, channel, self._cut(size)[offset_words * 4 :])

    def _check(self, size: int, offset_words: int) -> None:
        if not 8 <= size <= self._max_frame_size or not 2 <= offset_words <= size // 4:
            raise BusError(Condition.FRAMING_ERROR, f"a frame of {size} bytes, data at word {offset_words}")

    def _cut(self, size: int) -> bytes:
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece
