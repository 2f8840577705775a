"""MQTT as the standard and IoT Hub's documentation have it, where the SDK does not reach."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.hub.mqtt.packets import ConnectCode, PacketType, read_publish
from tests.support.hub import LocalHub, local_hub
from tests.support.mqtt import DURABLE, RawDevice, connect_packet, raw_device


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        hub.create("wire")
        yield hub


def connack_of(device: RawDevice, hub: LocalHub, device_id: str = "wire", **changes: Any) -> tuple[int, int]:
    """Session-present flag and return code."""
    device.send(connect_packet(hub, device_id, **changes))
    packet = device.receive()
    assert packet is not None
    assert packet.type == PacketType.CONNACK
    return packet.body[0], packet.body[1]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"level": 3}, ConnectCode.UNACCEPTABLE_PROTOCOL),
        ({"client_id": "other"}, ConnectCode.IDENTIFIER_REJECTED),
        ({"user_name": "wire"}, ConnectCode.BAD_USER_NAME_OR_PASSWORD),
        ({"ttl_s": -5}, ConnectCode.NOT_AUTHORIZED),
    ],
)
def test_connect_is_refused_with_the_code_of_its_fault(
    hub: LocalHub, changes: dict[str, Any], code: ConnectCode
) -> None:
    with raw_device(hub) as device:
        assert connack_of(device, hub, **changes) == (0, code)
        assert device.receive() is None


def test_silent_device_is_dropped_after_one_and_a_half_keep_alives(hub: LocalHub) -> None:
    with raw_device(hub) as device:
        assert connack_of(device, hub, keep_alive_s=1) == (0, 0)
        connected_at_s = time.monotonic()
        assert device.receive() is None
        assert time.monotonic() - connected_at_s > 1.2


def test_connection_ends_with_its_token(hub: LocalHub) -> None:
    with raw_device(hub) as device:
        assert connack_of(device, hub, ttl_s=2) == (0, 0)
        assert device.receive() is None


def test_durable_session_is_resumed_and_a_clean_one_forgets_it(hub: LocalHub) -> None:
    hub.create("durable")
    with raw_device(hub) as device:
        assert connack_of(device, hub, "durable", flags=DURABLE) == (0, 0)
        assert device.subscribe("$iothub/twin/PATCH/properties/desired/#") == 1
    with raw_device(hub) as device:
        assert connack_of(device, hub, "durable", flags=DURABLE) == (1, 0)
        hub.service().update_twin("durable", {"properties": {"desired": {"a": 1}}})
        packet = device.receive()
        assert packet is not None
        assert json.loads(read_publish(packet).payload) == {"a": 1, "$version": 2}
    with raw_device(hub) as device:
        assert connack_of(device, hub, "durable") == (0, 0)
    with raw_device(hub) as device:
        assert connack_of(device, hub, "durable", flags=DURABLE) == (0, 0)


def test_unacknowledged_message_comes_again(hub: LocalHub) -> None:
    hub.create("again")
    hub.do(lambda: hub.server.send_cloud_to_device("again", b"once"))
    for expected_duplicate in (0, 0x08):
        with raw_device(hub) as device:
            connack_of(device, hub, "again", flags=DURABLE)
            if not expected_duplicate:
                assert device.subscribe("devices/again/messages/devicebound/#") == 1
            packet = device.receive()
            assert packet is not None
            assert read_publish(packet).payload == b"once"
            assert packet.flags & 0x08 == expected_duplicate


def test_foreign_topics_are_neither_granted_nor_taken(hub: LocalHub) -> None:
    with raw_device(hub) as device:
        connack_of(device, hub)
        assert device.subscribe("devices/other/messages/devicebound/#") == 0x80
        assert device.subscribe("#") == 0x80
        device.publish("devices/other/messages/events/", b"{}")
        assert device.receive() is None


def test_report_on_a_stale_version_is_refused(hub: LocalHub) -> None:
    hub.create("versions")
    with raw_device(hub) as device:
        connack_of(device, hub, "versions")
        assert device.subscribe("$iothub/twin/res/#") == 1
        topics = []
        for request_id in (1, 2):
            device.publish(
                f"$iothub/twin/PATCH/properties/reported/?$rid={request_id}&$version=1", b'{"a": %d}' % request_id
            )
            packet = device.receive()
            assert packet is not None
            topics.append(read_publish(packet).topic)
    assert topics == ["$iothub/twin/res/204/?$rid=1&$version=2", "$iothub/twin/res/412/?$rid=2"]


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\nHost: " + b"h" * 80 + b"\r\n\r\n", b"\x30\x02\x00\x00", b"\x10\xff\xff\xff\xff\xff"]
)
def test_what_is_no_mqtt_is_cut_off(hub: LocalHub, garbage: bytes) -> None:
    with raw_device(hub) as device:
        device.send(garbage)
        assert device.receive() is None
