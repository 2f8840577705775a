"""Request and reply messages, as `$cbs` and `$management` exchange them."""

from collections.abc import Mapping
from dataclasses import dataclass

from emulator.bus.amqp.decoder import Reader
from emulator.bus.amqp.encoder import encode
from emulator.bus.amqp.sections import Section, read_sections, write_section
from emulator.bus.amqp.types import Described, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        message_id: comes back as the reply's correlation id, with its type.
        properties: the application properties.
        body: the value section.
    """

    message_id: Value
    properties: Mapping[str, Value]
    body: Value

    @classmethod
    def read(cls, payload: bytes) -> "Request":
        """Reads an encoded message.

        Raises:
            BusError: `amqp:decode-error`.
        """
        parts = {section: Reader(raw).value() for section, raw in read_sections(payload)}
        fields = parts.get(Section.PROPERTIES) or [None]
        return cls(
            message_id=fields[0],
            properties=parts.get(Section.APPLICATION_PROPERTIES) or {},
            body=_plain(parts.get(Section.VALUE)),
        )


def _plain(value: Value) -> Value:
    return value.value if isinstance(value, Described) else value


def write_reply(request: Request, properties: Mapping[str, Value], body: Value) -> bytes:
    """Encodes the reply; field 6 of the properties is the correlation id (part 3, section 3.2.4)."""
    fields = [None, None, None, None, None, request.message_id]
    sections = (
        (Section.PROPERTIES, fields),
        (Section.APPLICATION_PROPERTIES, dict(properties)),
        (Section.VALUE, body),
    )
    return b"".join(write_section(section, encode(value)) for section, value in sections)
