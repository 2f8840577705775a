"""A device that speaks raw MQTT, for what the SDK never does."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from struct import pack
from typing import Any

from azure.iot.hub.sastoken import SasToken

from emulator.hub.mqtt import answers
from emulator.hub.mqtt.framing import Packet, PacketReader
from tests.support.hub import LocalHub

CLEAN, DURABLE = 0x02, 0x00


def text(value: str) -> bytes:
    return pack("!H", len(value.encode())) + value.encode()


class RawDevice:
    """One TLS connection to the hub."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = PacketReader(1_000_000)
        self._read: list[Packet] = []

    def send(self, packet: bytes) -> None:
        self._socket.sendall(packet)

    def receive(self) -> Packet | None:
        """The next packet; None where the hub has closed the connection."""
        while not self._read:
            received = self._socket.recv(65_536)
            if not received:
                return None
            self._read += self._reader.feed(received)
        return self._read.pop(0)

    def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        """The granted QoS, or 128."""
        body = pack("!H", 1) + text(topic_filter) + bytes((qos,))
        self.send(bytes((0x82, len(body))) + body)
        packet = self.receive()
        assert packet is not None
        return packet.body[2]

    def publish(self, topic: str, payload: bytes = b"") -> None:
        self.send(answers.publish(topic, payload))


@contextmanager
def raw_device(hub: LocalHub) -> Iterator[RawDevice]:
    """A connection that has not sent its CONNECT yet."""
    context = ssl.create_default_context(cafile=str(hub.server.ca_path))
    address = (hub.server.mqtt_host, hub.server.mqtt_port)
    with (
        socket.create_connection(address, timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=hub.server.mqtt_host) as connection,
    ):
        yield RawDevice(connection)


def connect_packet(hub: LocalHub, device_id: str, **changes: Any) -> bytes:
    """A CONNECT that the hub accepts, but for the changes.

    Args:
        changes: ``level``, ``flags``, ``keep_alive_s``, ``client_id``, ``user_name``, ``ttl_s``.
    """
    host = hub.server.mqtt_host
    key = hub.do(lambda: hub.server.hub.registry.get(device_id)).identity.primary_key
    token = SasToken(f"{host}/devices/{device_id}", key, ttl=changes.get("ttl_s", 3600))
    body = text("MQTT") + bytes((changes.get("level", 4), 0xC0 | changes.get("flags", CLEAN)))
    body += pack("!H", changes.get("keep_alive_s", 60)) + text(changes.get("client_id", device_id))
    body += text(changes.get("user_name", f"{host}/{device_id}/?api-version=2021-04-12")) + text(str(token))
    length = len(body)
    return bytes((0x10, length & 0x7F | 0x80, length >> 7)) + body
