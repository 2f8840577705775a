"""The performatives of AMQP 1.0: frame bodies as dataclasses (part 2, section 2.7, and SASL, part 5)."""

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

from emulator.bus.amqp.decoder import Reader
from emulator.bus.amqp.encoder import encode, encode_list
from emulator.bus.amqp.types import Described, Symbol, Ubyte, Uint, Ulong, Ushort, Value
from emulator.bus.errors import BusError, Condition


def _as(kind: type, default: Any = None) -> Any:
    """A field that is written as the given AMQP type."""
    return field(default=default, metadata={"kind": kind})


_layouts: dict[int, tuple[tuple[str, type | None], ...]] = {}


def _layout(kind: type["Performative"]) -> tuple[tuple[str, type | None], ...]:
    """Names of the fields with the AMQP types they are written as; looked up once per kind."""
    if kind.CODE not in _layouts:
        _layouts[kind.CODE] = tuple((item.name, item.metadata.get("kind")) for item in fields(kind))
    return _layouts[kind.CODE]


@dataclass(slots=True, kw_only=True)
class Performative:
    """A described list; field order is wire order, None is null."""

    CODE: ClassVar[int]

    @classmethod
    def read(cls, values: list[Value]) -> Self:
        """Fills fields by position; null means the default."""
        named = zip(_layout(cls), values, strict=False)
        return cls(**{name: value for (name, _), value in named if value is not None})

    def encoded(self) -> bytes:
        """The described list, trailing nulls left out."""
        parts = [_encoded_field(getattr(self, name), kind) for name, kind in _layout(type(self))]
        while parts and parts[-1] == b"\x40":
            parts.pop()
        return bytes((0x00, 0x53, self.CODE)) + encode_list(parts)


def _encoded_field(value: Value, kind: type | None) -> bytes:
    return encode(value if value is None or kind is None else kind(value))


@dataclass(slots=True, kw_only=True)
class Open(Performative):
    """Starts a connection. `idle_timeout_ms`: close me if I am silent for so long."""

    CODE: ClassVar[int] = 0x10
    container_id: str = _as(str, "")
    hostname: str | None = _as(str)
    max_frame_size: int = _as(Uint, 0xFFFFFFFF)
    channel_max: int = _as(Ushort, 0xFFFF)
    idle_timeout_ms: int | None = _as(Uint)
    outgoing_locales: Value = None
    incoming_locales: Value = None
    offered_capabilities: Value = None
    desired_capabilities: Value = None
    properties: Value = None


@dataclass(slots=True, kw_only=True)
class Begin(Performative):
    """Starts a session on a channel."""

    CODE: ClassVar[int] = 0x11
    remote_channel: int | None = _as(Ushort)
    next_outgoing_id: int = _as(Uint, 0)
    incoming_window: int = _as(Uint, 0)
    outgoing_window: int = _as(Uint, 0)
    handle_max: int = _as(Uint, 0xFFFFFFFF)
    offered_capabilities: Value = None
    desired_capabilities: Value = None
    properties: Value = None


@dataclass(slots=True, kw_only=True)
class Attach(Performative):
    """Attaches a link. `role` True: the writer of this frame receives."""

    CODE: ClassVar[int] = 0x12
    name: str = _as(str, "")
    handle: int = _as(Uint, 0)
    role: bool = _as(bool, False)
    snd_settle_mode: int = _as(Ubyte, 2)
    rcv_settle_mode: int = _as(Ubyte, 0)
    source: Value = None
    target: Value = None
    unsettled: Value = None
    incomplete_unsettled: bool = _as(bool, False)
    initial_delivery_count: int | None = _as(Uint)
    max_message_size: int | None = _as(Ulong)
    offered_capabilities: Value = None
    desired_capabilities: Value = None
    properties: Value = None


@dataclass(slots=True, kw_only=True)
class Flow(Performative):
    """Session windows and, with a handle, link credit."""

    CODE: ClassVar[int] = 0x13
    next_incoming_id: int | None = _as(Uint)
    incoming_window: int = _as(Uint, 0)
    next_outgoing_id: int = _as(Uint, 0)
    outgoing_window: int = _as(Uint, 0)
    handle: int | None = _as(Uint)
    delivery_count: int | None = _as(Uint)
    link_credit: int | None = _as(Uint)
    available: int | None = _as(Uint)
    drain: bool = _as(bool, False)
    echo: bool = _as(bool, False)
    properties: Value = None


@dataclass(slots=True, kw_only=True)
class Transfer(Performative):
    """A message or a piece of one; the payload follows it in the frame."""

    CODE: ClassVar[int] = 0x14
    handle: int = _as(Uint, 0)
    delivery_id: int | None = _as(Uint)
    delivery_tag: bytes | None = _as(bytes)
    message_format: int | None = _as(Uint)
    settled: bool = _as(bool, False)
    more: bool = _as(bool, False)
    rcv_settle_mode: int | None = _as(Ubyte)
    state: Value = None
    resume: bool = _as(bool, False)
    aborted: bool = _as(bool, False)
    batchable: bool = _as(bool, False)


@dataclass(slots=True, kw_only=True)
class Disposition(Performative):
    """What became of the deliveries `first`..`last`."""

    CODE: ClassVar[int] = 0x15
    role: bool = _as(bool, False)
    first: int = _as(Uint, 0)
    last: int | None = _as(Uint)
    settled: bool = _as(bool, False)
    state: Value = None
    batchable: bool = _as(bool, False)


@dataclass(slots=True, kw_only=True)
class Detach(Performative):
    """Detaches a link; `closed` ends it for good."""

    CODE: ClassVar[int] = 0x16
    handle: int = _as(Uint, 0)
    closed: bool = _as(bool, False)
    error: Value = None


@dataclass(slots=True, kw_only=True)
class End(Performative):
    """Ends a session."""

    CODE: ClassVar[int] = 0x17
    error: Value = None


@dataclass(slots=True, kw_only=True)
class Close(Performative):
    """Ends a connection."""

    CODE: ClassVar[int] = 0x18
    error: Value = None


@dataclass(slots=True, kw_only=True)
class SaslMechanisms(Performative):
    """What the server lets a client authenticate with."""

    CODE: ClassVar[int] = 0x40
    mechanisms: Value = None


@dataclass(slots=True, kw_only=True)
class SaslInit(Performative):
    """The client's choice."""

    CODE: ClassVar[int] = 0x41
    mechanism: str = _as(Symbol, "")
    initial_response: bytes | None = _as(bytes)
    hostname: str | None = _as(str)


@dataclass(slots=True, kw_only=True)
class SaslOutcome(Performative):
    """0 is ok, 1 is refused."""

    CODE: ClassVar[int] = 0x44
    code: int = _as(Ubyte, 0)


_AMQP_KINDS = (Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close)
_KINDS: dict[int, type[Performative]] = {
    kind.CODE: kind for kind in (*_AMQP_KINDS, SaslMechanisms, SaslInit, SaslOutcome)
}


def read_performative(body: bytes) -> tuple[Performative, bytes]:
    """Reads a frame body: the performative and, after a transfer, the payload.

    Raises:
        BusError: `amqp:decode-error`.
    """
    reader = Reader(body)
    described = reader.value()
    kind = _KINDS.get(described.descriptor) if isinstance(described, Described) else None
    if kind is None or not isinstance(described.value, list):
        raise BusError(Condition.DECODE_ERROR, "the frame holds no performative")
    return kind.read(described.value), body[reader.offset :]
