"""MQTT 3.1.1 packets that a server without QoS 2 reads (OASIS standard of 2014-10-29; sections in brackets)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from emulator.hub.mqtt.framing import MalformedPacket, Packet


class PacketType(IntEnum):
    """Control packet types [2.2.1]."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class ConnectCode(IntEnum):
    """CONNACK return codes [3.2.2.3]."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_USER_NAME_OR_PASSWORD = 4
    NOT_AUTHORIZED = 5


SUBSCRIPTION_REFUSED = 0x80
_PROTOCOL_LEVEL = 4
_CLEAN_SESSION, _WILL, _PASSWORD, _USER_NAME = 0x02, 0x04, 0x40, 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """CONNECT [3.1]; a will is read past."""

    protocol_level: int
    clean_session: bool
    keep_alive_s: int
    client_id: str
    user_name: str
    password: str

    @property
    def speaks_311(self) -> bool:
        return self.protocol_level == _PROTOCOL_LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """PUBLISH [3.3]; ``packet_id`` is 0 for QoS 0."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """SUBSCRIBE [3.8] and, with QoS 0 throughout, UNSUBSCRIBE [3.10]."""

    packet_id: int
    filters: Sequence[tuple[str, int]]


class _Fields:
    """Reads the fields of one packet in order."""

    __slots__ = ("_body", "_offset")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._offset = 0

    @property
    def left(self) -> int:
        return len(self._body) - self._offset

    def byte(self) -> int:
        return self._unpack("!B", 1)

    def short(self) -> int:
        return self._unpack("!H", 2)

    def binary(self) -> bytes:
        return self._take(self.short())

    def text(self) -> str:
        try:
            return self.binary().decode()
        except UnicodeDecodeError as error:
            raise MalformedPacket("a string is no UTF-8") from error

    def rest(self) -> bytes:
        return self._take(self.left)

    def _unpack(self, layout: str, size: int) -> int:
        try:
            (value,) = struct.unpack_from(layout, self._body, self._offset)
        except struct.error as error:
            raise MalformedPacket("the packet ends too early") from error
        self._offset += size
        return int(value)

    def _take(self, size: int) -> bytes:
        if size > self.left:
            raise MalformedPacket("the packet ends too early")
        taken = self._body[self._offset : self._offset + size]
        self._offset += size
        return taken


def read_connect(packet: Packet) -> Connect:
    """Parse a CONNECT.

    Raises:
        MalformedPacket: It is none.
    """
    fields = _Fields(packet.body)
    if fields.text() != "MQTT":
        raise MalformedPacket("another protocol")
    level, flags, keep_alive_s = fields.byte(), fields.byte(), fields.short()
    client_id = fields.text()
    if flags & _WILL:
        fields.binary()
        fields.binary()
    return Connect(
        protocol_level=level,
        clean_session=bool(flags & _CLEAN_SESSION),
        keep_alive_s=keep_alive_s,
        client_id=client_id,
        user_name=fields.text() if flags & _USER_NAME else "",
        password=fields.text() if flags & _PASSWORD else "",
    )


def read_publish(packet: Packet) -> Publish:
    """Parse a PUBLISH.

    Raises:
        MalformedPacket: It is none, or its QoS is 2, which the hub does not take.
    """
    fields = _Fields(packet.body)
    qos = packet.flags >> 1 & 0x03
    if qos > 1:
        raise MalformedPacket("QoS 2 is not supported")
    topic = fields.text()
    packet_id = fields.short() if qos else 0
    return Publish(topic=topic, payload=fields.rest(), qos=qos, packet_id=packet_id)


def read_subscribe(packet: Packet) -> Subscribe:
    """Parse a SUBSCRIBE.

    Raises:
        MalformedPacket: It is none.
    """
    fields = _Fields(packet.body)
    packet_id = fields.short()
    filters = []
    while fields.left:
        filters.append((fields.text(), fields.byte()))
    return Subscribe(packet_id=packet_id, filters=filters)


def read_unsubscribe(packet: Packet) -> Subscribe:
    """Parse an UNSUBSCRIBE.

    Raises:
        MalformedPacket: It is none.
    """
    fields = _Fields(packet.body)
    packet_id = fields.short()
    filters = []
    while fields.left:
        filters.append((fields.text(), 0))
    return Subscribe(packet_id=packet_id, filters=filters)


def read_packet_id(packet: Packet) -> int:
    """The packet id of a PUBACK.

    Raises:
        MalformedPacket: There is none.
    """
    return _Fields(packet.body).short()
