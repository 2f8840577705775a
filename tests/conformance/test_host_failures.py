"""One bad message or one storage error never ends a trigger, and a gentle stop loses no execution."""

import base64
import json
import uuid
from typing import Any

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageProperties
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from emulator.host.blob_messages import queue_of
from emulator.local import LocalCloud
from emulator.names import EVENTS_QUEUE
from tests.support.cloud import Entry, Journal


def upload(cloud: LocalCloud, command: dict[str, object]) -> str:
    name = str(uuid.uuid4())
    blobs = BlobServiceClient.from_connection_string(cloud.settings["Storage"])
    blobs.get_blob_client("incoming", name).upload_blob(b"x", metadata={"command": json.dumps(command)})
    return name


def queue(cloud: LocalCloud, name: str) -> QueueClient:
    return QueueClient.from_connection_string(cloud.settings["Storage"], name)


def test_a_malformed_blob_event_does_not_stop_the_next_one(cloud: LocalCloud, journal: Journal) -> None:
    events = queue(cloud, EVENTS_QUEUE)
    for text in ("not JSON", "{}", '{"subject": "/not/a/blob", "data": {}}', "[]"):
        events.send_message(base64.b64encode(text.encode()).decode())
    name = upload(cloud, {})
    journal.wait_for("on_blob.done", lambda entry: entry["name"] == name)
    cloud.wait_until_quiet()


def test_a_blob_message_that_cannot_be_settled_does_not_stop_the_next_one(cloud: LocalCloud, journal: Journal) -> None:
    name = upload(cloud, {"sleep_s": 1})
    journal.wait_for("on_blob", lambda entry: entry["name"] == name)
    queue(cloud, queue_of("on_blob")).clear_messages()
    journal.wait_for("on_blob.done", lambda entry: entry["name"] == name)
    following = upload(cloud, {})
    journal.wait_for("on_blob.done", lambda entry: entry["name"] == following)
    assert cloud.functions_running


def test_a_message_that_cannot_be_bound_is_dead_lettered_and_the_next_one_served(
    cloud: LocalCloud, journal: Journal
) -> None:
    message_id = str(uuid.uuid4())
    unreadable = AmqpAnnotatedMessage(value_body={"a": 1}, properties=AmqpMessageProperties(message_id=message_id))
    plain = ServiceBusMessage("{}", message_id=str(uuid.uuid4()))
    with (
        ServiceBusClient.from_connection_string(cloud.settings["ServiceBus"]) as client,
        client.get_queue_sender("singles") as sender,
        client.get_queue_receiver("singles", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead,
    ):
        sender.send_messages(unreadable)
        sender.send_messages(plain)
        journal.wait_for("on_single.done", lambda entry: entry["id"] == plain.message_id)
        (letter,) = dead.receive_messages(max_wait_time=20)
        assert letter.message_id == message_id
        dead.complete_message(letter)
    assert journal.entries("on_single", lambda entry: entry["id"] == message_id) == []


def test_a_stopping_host_lets_its_blob_function_finish(cloud: LocalCloud, journal: Journal) -> None:
    name = upload(cloud, {"sleep_s": 1.5})
    journal.wait_for("on_blob", lambda entry: entry["name"] == name)
    cloud.stop_functions()
    assert len(journal.entries("on_blob.done", lambda entry: entry["name"] == name)) == 1
    cloud.restart_functions()
    cloud.wait_until_quiet()
    assert len(journal.entries("on_blob", lambda entry: entry["name"] == name)) == 1


def test_a_stopping_host_finishes_its_event_hub_batch_and_moves_the_pointer(
    cloud: LocalCloud, journal: Journal, monkeypatch: Any
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
    manager = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
    device = str(uuid.uuid4())
    manager.create_device_with_sas(device, "", "", "enabled")
    manager.update_twin(device, Twin(properties=TwinProperties(desired={"plain": {"sleep_s": 1.5}})))

    def of_device(entry: Entry) -> bool:
        return device in entry["devices"]

    journal.wait_for("on_plain_events", of_device)
    cloud.stop_functions()
    cloud.restart_functions()
    cloud.wait_until_quiet()
    assert len(journal.entries("on_plain_events", of_device)) == 1
