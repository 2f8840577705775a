"""One MQTT connection: packets in, packets out, and when it ends. No task of its own, one timer."""

import asyncio
import logging
from datetime import datetime
from typing import cast

from emulator.hub.device_api import DeviceApi
from emulator.hub.devices import Device
from emulator.hub.errors import HubError
from emulator.hub.mqtt import answers, packets
from emulator.hub.mqtt.client import MqttClient
from emulator.hub.mqtt.framing import MalformedPacket, Packet, PacketReader
from emulator.hub.mqtt.packets import Connect, ConnectCode, PacketType
from emulator.hub.sas import BadSignature
from emulator.hub.throttle import Operation

log = logging.getLogger("hub.mqtt")

MAX_PACKET_BYTES = 256 * 1024 + 64 * 1024
"""A device-to-cloud message has at most 256 KB; the rest is room for its topic."""
_CONNECT_WITHIN_S = 20.0
_KEEP_ALIVE_FACTOR = 1.5
_MAX_UNSENT_BYTES = 4 * 1024 * 1024


class Refused(Exception):
    """A CONNECT that is answered with this code."""

    def __init__(self, code: ConnectCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class MqttConnection(asyncio.Protocol):
    """Created by the listener for each TLS connection."""

    __slots__ = (
        "_api",
        "_client",
        "_ends_at_s",
        "_idle_s",
        "_loop",
        "_reader",
        "_seen_at_s",
        "_timer",
        "_transport",
    )

    def __init__(self, api: DeviceApi) -> None:
        self._api = api
        self._loop = asyncio.get_running_loop()
        self._reader = PacketReader(MAX_PACKET_BYTES)
        self._client: MqttClient | None = None
        self._seen_at_s = self._loop.time()
        self._idle_s = _CONNECT_WITHIN_S
        self._ends_at_s = float("inf")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_MAX_UNSENT_BYTES)
        self._timer = self._loop.call_later(self._idle_s, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._timer.cancel()
        if self._client is not None:
            self._api.hub.detach(self._client.device, self._client)

    def pause_writing(self) -> None:
        """The peer has stopped reading."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._seen_at_s = self._loop.time()
        try:
            for packet in self._reader.feed(data):
                if self._transport.is_closing():
                    return
                self._take(packet)
        except MalformedPacket as error:
            self.end(f"malformed: {error}")

    def end(self, reason: str) -> None:
        """Close once everything written has gone out."""
        log.debug("closing %s: %s", self._client.device.device_id if self._client else "a connection", reason)
        self._transport.close()

    def _take(self, packet: Packet) -> None:
        if self._client is None:
            self._take_connect(packet)
            return
        match packet.type:
            case PacketType.PUBLISH:
                self._client.on_publish(packets.read_publish(packet))
            case PacketType.PUBACK:
                self._client.on_puback(packets.read_packet_id(packet))
            case PacketType.SUBSCRIBE:
                self._client.on_subscribe(packets.read_subscribe(packet))
            case PacketType.UNSUBSCRIBE:
                self._client.on_unsubscribe(packets.read_unsubscribe(packet))
            case PacketType.PINGREQ:
                self._send(answers.pingresp())
            case PacketType.DISCONNECT:
                self.end("the device says goodbye")
            case _:
                raise MalformedPacket(f"packet type {packet.type}")

    def _take_connect(self, packet: Packet) -> None:
        if packet.type != PacketType.CONNECT:
            raise MalformedPacket("the first packet must be CONNECT")
        connect = packets.read_connect(packet)
        try:
            device, valid_until = self._admit(connect)
        except Refused as refused:
            self._send(answers.connack(refused.code))
            self.end(str(refused))
            return
        self._accept(connect, device, valid_until)

    def _admit(self, connect: Connect) -> tuple[Device, datetime]:
        if not connect.speaks_311:
            raise Refused(ConnectCode.UNACCEPTABLE_PROTOCOL, "not MQTT 3.1.1")
        host_name, device_id = read_user_name(connect.user_name)
        if connect.client_id != device_id:
            raise Refused(ConnectCode.IDENTIFIER_REJECTED, "the client id is not the device id")
        try:
            self._api.hub.throttle.admit(Operation.CONNECT)
            return self._api.authenticate(device_id, host_name, connect.password, self._certificate())
        except HubError as error:
            raise Refused(ConnectCode.SERVER_UNAVAILABLE, error.message) from error
        except BadSignature as error:
            raise Refused(ConnectCode.NOT_AUTHORIZED, str(error)) from error

    def _certificate(self) -> bytes | None:
        tls = self._transport.get_extra_info("ssl_object")
        shown: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
        return shown

    def _accept(self, connect: Connect, device: Device, valid_until: datetime) -> None:
        had_session = device.subscriptions is not None and not connect.clean_session
        if connect.clean_session:
            device.subscriptions = None
            subscriptions: set[str] = set()
        else:
            subscriptions = device.subscriptions = device.subscriptions or set()
        client = MqttClient(device, self._api, subscriptions=subscriptions, send=self._send, end=self.end)
        self._send(answers.connack(ConnectCode.ACCEPTED, session_present=had_session))
        self._client = client
        self._api.hub.attach(device, client)
        self._watch(connect.keep_alive_s, valid_until)
        client.resume()

    def _watch(self, keep_alive_s: int, valid_until: datetime) -> None:
        """End the connection after one and a half keep-alives of silence [3.1.2.10], or when its token expires."""
        self._idle_s = keep_alive_s * _KEEP_ALIVE_FACTOR if keep_alive_s else float("inf")
        valid_s = (valid_until - self._api.hub.clock()).total_seconds()
        self._ends_at_s = self._loop.time() + valid_s
        self._check_time()

    def _check_time(self) -> None:
        self._timer.cancel()
        ends_at_s = min(self._seen_at_s + self._idle_s, self._ends_at_s)
        left_s = ends_at_s - self._loop.time()
        if left_s <= 0:
            self.end("silent for too long, or its token has expired")
            return
        self._timer = self._loop.call_later(min(left_s, _LONGEST_TIMER_S), self._check_time)

    def _send(self, written: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(written)


_LONGEST_TIMER_S = 3600.0


def read_user_name(user_name: str) -> tuple[str, str]:
    """Host name and device id in ``{host}/{device id}/?api-version=…``.

    Raises:
        Refused: It has another form.
    """
    parts = user_name.split("/", 2)
    if len(parts) != 3 or not parts[2].startswith("?") or "api-version=" not in parts[2]:
        raise Refused(ConnectCode.BAD_USER_NAME_OR_PASSWORD, f"the user name {user_name!r} has another form")
    return parts[0], parts[1]
