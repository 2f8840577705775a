"""Reading what IoT Hub says about twins and devices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.domain.errors import MalformedMessage
from shared.domain.ids import DeviceId
from shared.wire.twin_events import LifecycleKind, RawTwinEvent, read_lifecycle, read_twin_event


def raw(body: Any, properties: dict[str, Any] | None = None, system: dict[str, Any] | None = None) -> RawTwinEvent:
    return RawTwinEvent(
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        properties={"deviceId": "gw-1"} if properties is None else properties,
        system_properties=system or {},
    )


def test_the_device_is_named_by_the_application_property_or_else_by_the_system_property() -> None:
    body = {"properties": {"reported": {"update": {}}}}
    assert read_twin_event(raw(body)).device == DeviceId("gw-1")
    fallback = raw(body, properties={}, system={"iothub-connection-device-id": "gw-2"})
    assert read_twin_event(fallback).device == DeviceId("gw-2")


@pytest.mark.parametrize(
    "body",
    [
        {"properties": {"desired": {"update": {"campaign": "spring-fix"}}}},
        {"tags": {"site": "north"}},
        {"properties": {"reported": {"temperature": 20, "$version": 3}}},
        {"properties": {"reported": {"update": None, "$version": 3}}},
        {},
    ],
)
def test_changes_of_anything_but_the_reported_update_tell_nothing(body: dict[str, Any]) -> None:
    assert not read_twin_event(raw(body)).tells_update


def test_a_modules_twin_tells_nothing() -> None:
    event = raw({"properties": {"reported": {"update": {}}}}, properties={"deviceId": "gw-1", "moduleId": "edge"})
    assert not read_twin_event(event).tells_update


@pytest.mark.parametrize(
    "body", [b"\xff", b"[]", b'"text"', b"", b'{"properties": [1]}', b'{"properties": {"reported": 3}}']
)
def test_what_is_no_twin_event_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_twin_event(raw(body))


@pytest.mark.parametrize("device", [None, "", "spaces are not allowed", "x" * 129])
def test_an_event_without_a_device_is_malformed(device: str | None) -> None:
    with pytest.raises(MalformedMessage):
        read_twin_event(raw({"properties": {"reported": {"update": {}}}}, properties={"deviceId": device}))


def test_lifecycle_events_name_their_device() -> None:
    event = read_lifecycle("Microsoft.Devices.DeviceDeleted", {"deviceId": "gw-1", "hubName": "prod"})
    assert (event.kind, event.device) == (LifecycleKind.DELETED, DeviceId("gw-1"))
    for event_type, data in (
        ("Microsoft.Devices.DeviceConnected", {"deviceId": "gw-1"}),
        ("", {}),
        (LifecycleKind.CREATED, {}),
    ):
        with pytest.raises(MalformedMessage):
            read_lifecycle(event_type, data)
