"""The sections of an AMQP message (part 3, section 3.2), kept as the bytes the sender wrote.

A broker changes the header, the annotations and, when it dead-letters, two application properties. All else
travels untouched, so that no type is lost on the way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from emulator.bus.amqp.decoder import Reader
from emulator.bus.amqp.encoder import encode, encode_list, encode_map
from emulator.bus.amqp.types import Described, Symbol, Ubyte, Uint, Value
from emulator.bus.errors import BusError, Condition


class Section(IntEnum):
    """Descriptors of the sections, in the order they appear."""

    HEADER = 0x70
    DELIVERY_ANNOTATIONS = 0x71
    MESSAGE_ANNOTATIONS = 0x72
    PROPERTIES = 0x73
    APPLICATION_PROPERTIES = 0x74
    DATA = 0x75
    SEQUENCE = 0x76
    VALUE = 0x77
    FOOTER = 0x78


def read_sections(payload: bytes) -> Iterator[tuple[Section, bytes]]:
    """Yields each section with its undecoded value.

    Raises:
        BusError: `amqp:decode-error`.
    """
    reader = Reader(payload)
    while not reader.at_end():
        if payload[reader.offset] != 0:
            raise BusError(Condition.DECODE_ERROR, "a message section starts with a descriptor")
        reader.offset += 1
        descriptor = reader.value()
        if not isinstance(descriptor, int) or not Section.HEADER <= descriptor <= Section.FOOTER:
            raise BusError(Condition.DECODE_ERROR, f"{descriptor!r} is no message section")
        yield Section(descriptor), reader.skip()


def write_section(section: Section, value: bytes) -> bytes:
    """Puts a section's descriptor before its encoded value."""
    return bytes((0x00, 0x53, section)) + value


class RawMap:
    """A map whose values stay encoded, so that entries can be added without touching the others."""

    __slots__ = ("_pairs",)

    def __init__(self, raw: bytes = b"") -> None:
        self._pairs = dict(_read_pairs(raw)) if raw else {}

    def get(self, key: str) -> Value:
        """The decoded value, or None."""
        raw = self._pairs.get(key)
        return None if raw is None else Reader(raw[1]).value()

    def with_entries(self, entries: Mapping[str, Value]) -> "RawMap":
        """A copy with the entries set; `Symbol` keys stay symbols."""
        changed = RawMap()
        changed._pairs = {**self._pairs, **{key: (encode(key), encode(value)) for key, value in entries.items()}}
        return changed

    def without(self, *keys: str) -> "RawMap":
        """A copy lacking the keys."""
        changed = RawMap()
        changed._pairs = {key: pair for key, pair in self._pairs.items() if key not in keys}
        return changed

    def encoded(self) -> bytes:
        """The map's bytes, empty when it has no entry."""
        return encode_map(self._pairs.values()) if self._pairs else b""


def _read_pairs(raw: bytes) -> Iterator[tuple[str, tuple[bytes, bytes]]]:
    if not isinstance(Reader(raw).value(), dict):
        raise BusError(Condition.DECODE_ERROR, "annotations and properties are maps")
    reader = Reader(raw, offset=9 if raw[0] == 0xD1 else 3)
    while not reader.at_end():
        key = reader.skip()
        yield str(Reader(key).value()), (key, reader.skip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Transport details. `ttl_ms` is None when the sender set none."""

    durable: bool | None = None
    priority: int | None = None
    ttl_ms: int | None = None
    delivery_count: int = 0

    @classmethod
    def read(cls, raw: bytes) -> "Header":
        """Reads the value of a header section.

        Raises:
            BusError: `amqp:decode-error`.
        """
        fields = _fields(raw, 5)
        if not all(value is None or isinstance(value, int) for value in fields[:5]):
            raise BusError(Condition.DECODE_ERROR, "the header has a field of the wrong type")
        return cls(durable=fields[0], priority=fields[1], ttl_ms=fields[2], delivery_count=fields[4] or 0)

    def encoded(self) -> bytes:
        """The header section. A time to live too long for its 32 bits (49 days) is left out."""
        ttl = self.ttl_ms if self.ttl_ms is not None and self.ttl_ms < 1 << 32 else None
        values = (
            self.durable,
            None if self.priority is None else Ubyte(self.priority),
            None if ttl is None else Uint(ttl),
            None,
            Uint(self.delivery_count),
        )
        return write_section(Section.HEADER, encode_list(map(encode, values)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A message as its sender wrote it, split at its sections.

    Attributes:
        properties: the encoded properties list, or empty.
        body: the data, sequence or value sections and the footer, with their descriptors.
        message_id: `message-id` as text, None when unset.
        session_id: `group-id`, None when unset.
    """

    header: Header = field(default_factory=Header)
    annotations: RawMap = field(default_factory=RawMap)
    properties: bytes = b""
    application_properties: RawMap = field(default_factory=RawMap)
    body: bytes = b""
    message_id: str | None = None
    session_id: str | None = None

    @classmethod
    def read(cls, payload: bytes) -> "Content":
        """Splits an encoded message.

        Raises:
            BusError: `amqp:decode-error`.
        """
        parts: dict[Section, bytes] = {}
        body: list[bytes] = []
        for section, value in read_sections(payload):
            if section >= Section.DATA:
                body.append(write_section(section, value))
            else:
                parts[section] = value
        fields = _fields(parts.get(Section.PROPERTIES, b""), 11)
        return cls(
            header=Header.read(parts.get(Section.HEADER, b"")),
            annotations=RawMap(parts.get(Section.MESSAGE_ANNOTATIONS, b"")),
            properties=parts.get(Section.PROPERTIES, b""),
            application_properties=RawMap(parts.get(Section.APPLICATION_PROPERTIES, b"")),
            body=b"".join(body),
            message_id=_text(fields[0]),
            session_id=_text(fields[10]),
        )

    def with_application_properties(self, entries: Mapping[str, Value]) -> "Content":
        """A copy with application properties set."""
        return replace(self, application_properties=self.application_properties.with_entries(entries))

    def encoded(self, header: Header, annotations: Mapping[str, Value]) -> bytes:
        """The message with another header and the broker's annotations added."""
        noted = self.annotations.with_entries({Symbol(key): value for key, value in annotations.items()})
        sections = (
            (Section.MESSAGE_ANNOTATIONS, noted.encoded()),
            (Section.PROPERTIES, self.properties),
            (Section.APPLICATION_PROPERTIES, self.application_properties.encoded()),
        )
        written = b"".join(write_section(section, value) for section, value in sections if value)
        return header.encoded() + written + self.body


def _fields(raw: bytes, count: int) -> list[Value]:
    values = Reader(raw).value() if raw else []
    if not isinstance(values, list):
        raise BusError(Condition.DECODE_ERROR, "header and properties are lists")
    return values + [None] * (count - len(values))


def _text(value: Value) -> str | None:
    if isinstance(value, Described):
        value = value.value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)


def read_batch(payload: bytes) -> list[bytes]:
    """The encoded messages inside a batch (message format 0x80013700): one data section each.

    Raises:
        BusError: `amqp:decode-error`.
    """
    found = [Reader(raw).value() for section, raw in read_sections(payload) if section is Section.DATA]
    if not all(isinstance(item, bytes) for item in found):
        raise BusError(Condition.DECODE_ERROR, "a data section holds binary")
    return found
