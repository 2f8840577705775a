"""Devices on the real device SDK over MQTT and TLS."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.device import IoTHubDeviceClient, Message, MethodRequest, MethodResponse, exceptions
from azure.iot.hub.models import CloudToDeviceMethod

from emulator.hub import Code, EventKind, HubError
from tests.support.hub import LocalHub, connected, local_hub
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def inbox_of(client: IoTHubDeviceClient, handler: str) -> queue.Queue[Any]:
    """What arrives at one of the client's handlers."""
    inbox: queue.Queue[Any] = queue.Queue()
    setattr(client, handler, inbox.put)
    return inbox


def next_of(inbox: queue.Queue[Any]) -> Any:
    return inbox.get(timeout=10)


def test_device_gets_its_twin_without_tags_and_metadata(hub: LocalHub) -> None:
    hub.create("getting")
    hub.service().update_twin("getting", {"tags": {"secret": 1}, "properties": {"desired": {"a": 1}}})
    with connected(hub.device("getting")) as client:
        assert client.get_twin() == {"desired": {"a": 1, "$version": 2}, "reported": {"$version": 1}}


def test_reported_patch_is_merged_and_told(hub: LocalHub) -> None:
    hub.create("reporting")
    with connected(hub.device("reporting")) as client:
        client.patch_twin_reported_properties({"update": {"state": "downloading", "progress": 1}})
        client.patch_twin_reported_properties({"update": {"state": "downloaded", "progress": None}})
        assert client.get_twin()["reported"] == {"update": {"state": "downloaded"}, "$version": 3}
    event = hub.wait_for_event("reporting", "updateTwin", count=2)
    reported = event.body["properties"]["reported"]
    assert reported["update"] == {"state": "downloaded", "progress": None}
    assert reported["$version"] == 3
    assert set(reported["$metadata"]["update"]) == {"$lastUpdated", "state"}
    assert "deviceId" not in event.body
    assert hub.service().get_twin("reporting").properties.reported["update"] == {"state": "downloaded"}


@pytest.mark.parametrize(
    ("status", "patch"), [(400, {"bad.key": 1}), (413, {f"k{number}": "x" * 4096 for number in range(9)})]
)
def test_refused_report_changes_nothing(hub: LocalHub, status: int, patch: dict[str, Any]) -> None:
    hub.create(f"refused-{status}")
    with connected(hub.device(f"refused-{status}")) as client:
        with pytest.raises(exceptions.ClientError) as refusal:
            client.patch_twin_reported_properties(patch)
        assert str(refusal.value.__cause__) == f"twin operation returned status {status}"
        assert client.get_twin()["reported"] == {"$version": 1}


def test_desired_changes_arrive_with_their_version(hub: LocalHub) -> None:
    hub.create("listening")
    with connected(hub.device("listening")) as client:
        patches = inbox_of(client, "on_twin_desired_properties_patch_received")
        hub.service().update_twin("listening", {"properties": {"desired": {"update": {"path": "p"}}}})
        assert next_of(patches) == {"update": {"path": "p"}, "$version": 2}
        hub.service().update_twin("listening", {"tags": {"unseen": 1}})
        hub.service().replace_twin("listening", {"properties": {"desired": {"other": 1}}})
        assert next_of(patches) == {"other": 1, "$version": 3}


def test_subscriptions_outlive_a_reconnect(hub: LocalHub) -> None:
    hub.create("returning")
    with connected(hub.device("returning")) as client:
        patches = inbox_of(client, "on_twin_desired_properties_patch_received")
        client.get_twin()
        client.disconnect()
        hub.wait_for_event("returning", "deviceDisconnected")
        hub.service().update_twin("returning", {"properties": {"desired": {"missed": 1}}})
        client.connect()
        # The SDK asks for the twin when it returns and makes up for what it missed.
        assert next_of(patches)["missed"] == 1
        hub.service().update_twin("returning", {"properties": {"desired": {"seen": 1}}})
        assert next_of(patches) == {"seen": 1, "$version": 3}


def test_direct_method_is_answered(hub: LocalHub) -> None:
    hub.create("method")
    with connected(hub.device("method")) as client:

        def answer(request: MethodRequest) -> None:
            payload = {"name": request.name, "heard": request.payload}
            client.send_method_response(MethodResponse.create_from_method_request(request, 207, payload))

        client.on_method_request_received = answer
        call = CloudToDeviceMethod(method_name="reboot now/?", payload={"in": 5}, connect_timeout_in_seconds=5)
        outcome = hub.service().invoke_device_method("method", call)
    assert (outcome.status, outcome.payload) == (207, {"name": "reboot now/?", "heard": {"in": 5}})


def test_telemetry_keeps_its_properties(hub: LocalHub) -> None:
    hub.create("telemetry")
    with connected(hub.device("telemetry")) as client:
        message = Message(json.dumps({"t": 1}), content_encoding="utf-8", content_type="application/json")
        message.custom_properties["k&y"] = "v=l ue"
        client.send_message(message)
        client.send_message(b"\x00raw")
    wait_until(lambda: len([event for event in hub.events_of("telemetry") if event.kind is EventKind.TELEMETRY]) == 2)
    first, second = (event for event in hub.events_of("telemetry") if event.kind is EventKind.TELEMETRY)
    assert dict(first.body) == {"t": 1}
    assert first.application_properties == {"k&y": "v=l ue"}
    assert first.system_properties["content-type"] == "application/json"
    assert dict(second.body) == {"base64": "AHJhdw=="}


def test_cloud_to_device_messages_wait_for_the_device(hub: LocalHub) -> None:
    hub.create("commands")
    for number in range(2):
        hub.do(lambda n=number: hub.server.send_cloud_to_device("commands", f"m{n}".encode(), {"a b": "c&d"}))
    assert hub.service().get_device("commands").cloud_to_device_message_count == 2
    with connected(hub.device("commands")) as client:
        messages = inbox_of(client, "on_message_received")
        first, second = next_of(messages), next_of(messages)
        assert (first.data, second.data) == (b"m0", b"m1")
        assert first.custom_properties == {"a b": "c&d"}
        wait_until(lambda: hub.service().get_device("commands").cloud_to_device_message_count == 0)
        hub.do(lambda: hub.server.send_cloud_to_device("commands", b"live"))
        assert next_of(messages).data == b"live"


def test_the_fifty_first_waiting_message_is_refused(hub: LocalHub) -> None:
    hub.create("full")
    for _ in range(50):
        hub.do(lambda: hub.server.send_cloud_to_device("full", b"x"))
    with pytest.raises(HubError) as refusal:
        hub.do(lambda: hub.server.send_cloud_to_device("full", b"x"))
    assert refusal.value.code is Code.QUEUE_DEPTH_EXCEEDED


def test_connection_state_is_shown_and_told(hub: LocalHub) -> None:
    hub.create("state")
    with connected(hub.device("state")):
        assert hub.service().get_device("state").connection_state == "Connected"
        up = hub.wait_for_event("state", "deviceConnected")
    down = hub.wait_for_event("state", "deviceDisconnected")
    assert up.body["sequenceNumber"] < down.body["sequenceNumber"]
    assert down.application_properties["iothub-message-schema"] == "deviceConnectionStateNotification"
    assert hub.service().get_device("state").connection_state == "Disconnected"


def test_a_second_connection_takes_over(hub: LocalHub) -> None:
    hub.create("taken")
    with connected(hub.device("taken")) as first, connected(hub.device("taken")) as second:
        wait_until(lambda: not first.connected)
        assert second.get_twin()["reported"] == {"$version": 1}
        assert hub.service().get_device("taken").connection_state == "Connected"


def test_disabled_device_is_cut_off_and_kept_out(hub: LocalHub) -> None:
    hub.create("disabled")
    with connected(hub.device("disabled")) as client:
        keys = hub.service().get_device("disabled").authentication.symmetric_key
        hub.service().update_device_with_sas("disabled", None, keys.primary_key, keys.secondary_key, "disabled")
        wait_until(lambda: not client.connected)
        with pytest.raises(exceptions.CredentialError):
            client.connect()


def test_deleted_device_is_cut_off(hub: LocalHub) -> None:
    hub.create("deleted")
    with connected(hub.device("deleted")) as client:
        hub.service().delete_device("deleted")
        wait_until(lambda: not client.connected)


def test_device_may_know_the_hub_by_its_azure_name_behind_a_gateway(hub: LocalHub) -> None:
    hub.create("gateway")
    connection = hub.do(lambda: hub.server.device_connection_string("gateway"))
    key = connection.partition("SharedAccessKey=")[2]
    behind = (
        f"HostName=local-hub.azure-devices.net;DeviceId=gateway;SharedAccessKey={key};"
        f"GatewayHostName={hub.server.mqtt_host}"
    )
    with connected(hub.device_for(behind)) as client:
        assert client.get_twin()["desired"] == {"$version": 1}


@pytest.mark.parametrize("character", "-.%_*?!(),:=@$'#")
def test_odd_device_ids_connect_and_report(hub: LocalHub, character: str) -> None:
    device_id = f"odd{character}id"
    hub.create(device_id)
    with connected(hub.device(device_id)) as client:
        client.patch_twin_reported_properties({"a": 1})
    assert hub.service().get_twin(device_id).properties.reported["a"] == 1
