"""One MQTT connection of a device that wants to be provisioned; sessions never outlive it."""

import asyncio
import ssl
from typing import cast

from emulator.hub.mqtt import answers, packets
from emulator.hub.mqtt.framing import MalformedPacket, Packet, PacketReader
from emulator.hub.mqtt.packets import SUBSCRIPTION_REFUSED, Connect, ConnectCode, PacketType, Publish, Subscribe
from emulator.hub.sas import BadSignature, read_token
from emulator.provisioning import topics
from emulator.provisioning.attestation import Proof
from emulator.provisioning.requests import DeviceRequests

_MAX_PACKET_BYTES = 64 * 1024
_SILENT_S = 120.0


class ProvisioningConnection(asyncio.Protocol):
    """Created by the listener for each TLS connection."""

    def __init__(self, requests: DeviceRequests) -> None:
        self._requests = requests
        self._reader = PacketReader(_MAX_PACKET_BYTES)
        self._registration_id = ""
        self._proof: Proof | None = None
        self._is_subscribed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(_SILENT_S, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_SILENT_S, self._transport.close)
        try:
            for packet in self._reader.feed(data):
                if self._transport.is_closing():
                    return
                self._take(packet)
        except MalformedPacket:
            self._transport.close()

    def _take(self, packet: Packet) -> None:
        if self._proof is None:
            self._take_connect(packet)
            return
        match packet.type:
            case PacketType.PUBLISH:
                self._on_publish(packets.read_publish(packet), self._proof)
            case PacketType.SUBSCRIBE:
                self._on_subscribe(packets.read_subscribe(packet))
            case PacketType.UNSUBSCRIBE:
                self._is_subscribed = False
                self._transport.write(answers.unsuback(packets.read_unsubscribe(packet).packet_id))
            case PacketType.PINGREQ:
                self._transport.write(answers.pingresp())
            case PacketType.PUBACK:
                pass
            case PacketType.DISCONNECT:
                self._transport.close()
            case _:
                raise MalformedPacket(f"packet type {packet.type}")

    def _take_connect(self, packet: Packet) -> None:
        if packet.type != PacketType.CONNECT:
            raise MalformedPacket("the first packet must be CONNECT")
        connect = packets.read_connect(packet)
        code = self._admit(connect)
        self._transport.write(answers.connack(code))
        if code is not ConnectCode.ACCEPTED:
            self._transport.close()

    def _admit(self, connect: Connect) -> ConnectCode:
        """Whom somebody says to be is believed or not when he registers; here only the form has to be right."""
        if not connect.speaks_311:
            return ConnectCode.UNACCEPTABLE_PROTOCOL
        named = topics.read_user_name(connect.user_name)
        if named is None:
            return ConnectCode.BAD_USER_NAME_OR_PASSWORD
        scope, self._registration_id = named
        if connect.client_id != self._registration_id:
            return ConnectCode.IDENTIFIER_REJECTED
        self._proof = self._read_proof(connect.password) if scope == self._requests.store.config.id_scope else None
        return ConnectCode.NOT_AUTHORIZED if self._proof is None else ConnectCode.ACCEPTED

    def _read_proof(self, password: str) -> Proof | None:
        tls: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if not password:
            return Proof(certificate=certificate) if certificate else None
        try:
            return Proof(token=read_token(password), certificate=certificate)
        except BadSignature:
            return None

    def _on_subscribe(self, subscribe: Subscribe) -> None:
        granted = [
            min(qos, 1) if topic_filter == topics.ANSWERS else SUBSCRIPTION_REFUSED
            for topic_filter, qos in subscribe.filters
        ]
        self._is_subscribed |= any(topic_filter == topics.ANSWERS for topic_filter, _ in subscribe.filters)
        self._transport.write(answers.suback(subscribe.packet_id, granted))

    def _on_publish(self, publish: Publish, proof: Proof) -> None:
        try:
            topic, body = self._requests.respond(self._registration_id, proof, publish.topic, publish.payload)
        except topics.UnknownTopic:
            self._transport.close()
            return
        if publish.qos:
            self._transport.write(answers.puback(publish.packet_id))
        if self._is_subscribed:
            self._transport.write(answers.publish(topic, body))
