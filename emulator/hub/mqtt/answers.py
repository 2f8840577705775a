"""The MQTT 3.1.1 packets that a server sends."""

from collections.abc import Sequence
from struct import pack

from emulator.hub.mqtt.packets import ConnectCode, PacketType

_DUPLICATE, _QOS_1 = 0x08, 0x02


def connack(code: ConnectCode, *, session_present: bool = False) -> bytes:
    return _packet(PacketType.CONNACK, bytes((session_present, code)))


def publish(topic: str, payload: bytes) -> bytes:
    """A PUBLISH with QoS 0."""
    return _packet(PacketType.PUBLISH, _text(topic) + payload)


def publish_at_least_once(topic: str, payload: bytes, packet_id: int, *, again: bool) -> bytes:
    """A PUBLISH with QoS 1, marked as a duplicate where it was sent before."""
    body = _text(topic) + pack("!H", packet_id) + payload
    return _packet(PacketType.PUBLISH, body, flags=_QOS_1 | (_DUPLICATE if again else 0))


def puback(packet_id: int) -> bytes:
    return _packet(PacketType.PUBACK, pack("!H", packet_id))


def suback(packet_id: int, codes: Sequence[int]) -> bytes:
    return _packet(PacketType.SUBACK, pack("!H", packet_id) + bytes(codes))


def unsuback(packet_id: int) -> bytes:
    return _packet(PacketType.UNSUBACK, pack("!H", packet_id))


def pingresp() -> bytes:
    return _packet(PacketType.PINGRESP, b"")


def _packet(kind: PacketType, body: bytes, flags: int = 0) -> bytes:
    return bytes((kind << 4 | flags,)) + _remaining_length(len(body)) + body


def _remaining_length(length: int) -> bytes:
    digits = bytearray()
    while True:
        length, digit = length >> 7, length & 0x7F
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(digits)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return pack("!H", len(encoded)) + encoded
