"""MQTT packets: cut from any stream, and malformed ones refused."""

from __future__ import annotations

import contextlib
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.hub.mqtt import answers, topics
from emulator.hub.mqtt.connection import Refused, read_user_name
from emulator.hub.mqtt.framing import MalformedPacket, Packet, PacketReader
from emulator.hub.mqtt.packets import PacketType, read_connect, read_publish

LARGEST = 300_000


def text(value: str) -> bytes:
    return pack("!H", len(value.encode())) + value.encode()


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 50))
def test_packets_survive_any_cutting_of_the_stream(payloads: list[bytes], step: int) -> None:
    stream = b"".join(answers.publish("t", payload) for payload in payloads)
    reader = PacketReader(LARGEST)
    packets = [packet for start in range(0, len(stream), step) for packet in reader.feed(stream[start : start + step])]
    assert [read_publish(packet).payload for packet in packets] == payloads


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, LARGEST - 10])
def test_lengths_of_all_sizes_are_read_back(size: int) -> None:
    (packet,) = PacketReader(LARGEST).feed(answers.publish_at_least_once("topic", b"x" * size, 7, again=True))
    publish = read_publish(packet)
    assert (len(publish.payload), publish.packet_id, publish.qos) == (size, 7, 1)


def test_connect_with_a_will_is_read() -> None:
    body = text("MQTT") + bytes((4, 0xC6)) + pack("!H", 60)
    body += text("d1") + text("will/topic") + text("will") + text("user") + text("word")
    connect = read_connect(Packet(PacketType.CONNECT, 0, body))
    assert (connect.client_id, connect.user_name, connect.password) == ("d1", "user", "word")
    assert (connect.clean_session, connect.keep_alive_s, connect.speaks_311) == (True, 60, True)


@pytest.mark.parametrize("stream", [b"\x10\xff\xff\xff\xff\x01", b"\x30\xff\xff\x7f"])
def test_endless_and_oversized_packets_are_malformed(stream: bytes) -> None:
    with pytest.raises(MalformedPacket):
        list(PacketReader(LARGEST).feed(stream))


@given(st.binary(max_size=40))
def test_no_bytes_make_a_reader_fail_otherwise(body: bytes) -> None:
    for read in (read_connect, read_publish):
        with contextlib.suppress(MalformedPacket):
            read(Packet(PacketType.PUBLISH, 0b0010, body))


@pytest.mark.parametrize(
    "topic",
    [
        "devices/other/messages/events/",
        "$iothub/twin/GET/?x=1",
        "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=x",
        "$iothub/methods/res/abc/?$rid=1",
        "anything",
    ],
)
def test_topics_that_are_not_the_devices_own_are_unknown(topic: str) -> None:
    with pytest.raises(topics.UnknownTopic):
        topics.read_topic(topic, "d1")


def test_reported_patch_may_name_the_version_it_builds_on() -> None:
    request = topics.read_topic("$iothub/twin/PATCH/properties/reported/?$rid=a%2Fb&$version=3", "d1")
    assert request == topics.ReportedPatch(request_id="a/b", base_version=3)


@pytest.mark.parametrize("device_id", ["d1", "a?b", "?", "a%20"])
def test_user_names_hold_host_and_device(device_id: str) -> None:
    assert read_user_name(f"hub.example/{device_id}/?api-version=2019-10-01") == ("hub.example", device_id)


@pytest.mark.parametrize("user_name", ["", "hub/d1", "hub/d1/m1/?api-version=1", "hub/d1/?nothing=1"])
def test_other_user_names_are_refused(user_name: str) -> None:
    with pytest.raises(Refused):
        read_user_name(user_name)
