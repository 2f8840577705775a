"""Cuts a byte stream into MQTT control packets (OASIS standard of 2014-10-29; sections in brackets)."""

from collections.abc import Iterator
from dataclasses import dataclass

_REMAINING_LENGTH_BYTES = 4


class MalformedPacket(Exception):
    """The peer violates the protocol; the connection must be closed [4.8]."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A control packet, not looked into yet."""

    type: int
    flags: int
    body: bytes


class PacketReader:
    """Cuts a byte stream into packets.

    Args:
        max_bytes: a longer packet is malformed.
    """

    __slots__ = ("_buffer", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._buffer = bytearray()
        self._max_bytes = max_bytes

    def feed(self, received: bytes) -> Iterator[Packet]:
        """The packets that are complete now.

        Raises:
            MalformedPacket: The stream cannot be cut.
        """
        self._buffer += received
        while (header := self._read_header()) is not None:
            start, length = header
            if len(self._buffer) < start + length:
                return
            first, body = self._buffer[0], bytes(self._buffer[start : start + length])
            del self._buffer[: start + length]
            yield Packet(first >> 4, first & 0x0F, body)

    def _read_header(self) -> tuple[int, int] | None:
        """Where the body starts and how long it is [2.2.3]; None where that has not come yet."""
        length = 0
        for index in range(_REMAINING_LENGTH_BYTES):
            if len(self._buffer) < index + 2:
                return None
            digit = self._buffer[index + 1]
            length |= (digit & 0x7F) << (7 * index)
            if not digit & 0x80:
                if length > self._max_bytes:
                    raise MalformedPacket(f"a packet of {length} bytes")
                return index + 2, length
        raise MalformedPacket("the remaining length has more than four bytes")
