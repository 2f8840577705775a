"""Blob triggers: Azurite's writes become executions, failures end in the poison queue."""

import base64
import json
import os
import uuid

from azure.storage.blob import BlobBlock, BlobServiceClient
from azure.storage.queue import QueueClient

from emulator.local import LocalCloud
from tests.support.cloud import Journal
from tests.support.waiting import wait_until

POISON_QUEUE = "webjobs-blobtrigger-poison"


def upload(cloud: LocalCloud, name: str, command: dict[str, object], body: bytes = b"content") -> None:
    blobs = BlobServiceClient.from_connection_string(cloud.settings["Storage"])
    metadata = {"command": json.dumps(command)}
    blobs.get_blob_client("incoming", name).upload_blob(body, metadata=metadata)


def poisoned(cloud: LocalCloud, name: str) -> list[dict[str, str]]:
    queue = QueueClient.from_connection_string(cloud.settings["Storage"], POISON_QUEUE)
    peeked = [json.loads(base64.b64decode(message.content)) for message in queue.peek_messages(32)]
    return [message for message in peeked if message["BlobName"] == name]


def test_an_uploaded_blob_is_bound_as_an_sdk_client(cloud: LocalCloud, journal: Journal) -> None:
    name = f"a folder/ünïcode {uuid.uuid4()}.bin"
    upload(cloud, name, {}, os.urandom(1000))
    (seen,) = journal.wait_for("on_blob", lambda entry: entry["name"] == name)
    assert seen["size_bytes"] == 1000


def test_a_blob_is_bound_as_a_stream_where_its_path_matches(cloud: LocalCloud, journal: Journal) -> None:
    blobs = BlobServiceClient.from_connection_string(cloud.settings["Storage"])
    name = str(uuid.uuid4())
    blobs.get_blob_client("streams", f"{name}.bin").upload_blob(b"not for us")
    blobs.get_blob_client("streams", f"{name}.txt").upload_blob(b"for us")
    (seen,) = journal.wait_for("on_stream", lambda entry: name in entry["name"])
    assert seen["name"] == f"streams/{name}.txt"
    assert (seen["content"], seen["length"]) == ("for us", 6)


def test_many_blocks_make_one_event(cloud: LocalCloud, journal: Journal) -> None:
    blobs = BlobServiceClient.from_connection_string(cloud.settings["Storage"])
    name = str(uuid.uuid4())
    blob = blobs.get_blob_client("incoming", name)
    ids = [f"{number:06}" for number in range(5)]
    for block_id in ids:
        blob.stage_block(block_id, b"x" * 1000)
    assert journal.entries("on_blob", lambda entry: entry["name"] == name) == []
    blob.commit_block_list([BlobBlock(block_id) for block_id in ids])
    blob.set_blob_metadata({"a": "b"})
    journal.wait_for("on_blob.done", lambda entry: entry["name"] == name)
    cloud.wait_until_quiet()
    assert len(journal.entries("on_blob", lambda entry: entry["name"] == name)) == 1


def test_a_blob_that_always_fails_ends_in_the_poison_queue(cloud: LocalCloud, journal: Journal) -> None:
    name = str(uuid.uuid4())
    upload(cloud, name, {"fail": "always"})
    (message,) = wait_until(lambda: poisoned(cloud, name))
    assert message["FunctionId"] == "Host.Functions.on_blob"
    assert message["ContainerName"] == "incoming"
    assert message["BlobType"] == "BlockBlob"
    assert message["ETag"]
    assert len(journal.entries("on_blob", lambda entry: entry["name"] == name)) == 3  # poisonBlobThreshold


def test_blobs_uploaded_while_the_host_is_down_are_triggered_later(cloud: LocalCloud, journal: Journal) -> None:
    cloud.stop_functions()
    names = [str(uuid.uuid4()) for _ in range(3)]
    for name in names:
        upload(cloud, name, {})
    cloud.restart_functions()
    journal.wait_for("on_blob.done", lambda entry: entry["name"] in names, count=3)


def test_a_blob_whose_function_kills_the_host_is_tried_again_and_ends_in_the_poison_queue(
    cloud: LocalCloud, journal: Journal
) -> None:
    name = str(uuid.uuid4())
    upload(cloud, name, {"sleep_s": 60})
    for attempt in range(1, 4):
        journal.wait_for("on_blob", lambda entry: entry["name"] == name, count=attempt)
        cloud.kill_functions()
        cloud.restart_functions()
    wait_until(lambda: poisoned(cloud, name))
    assert journal.entries("on_blob.done", lambda entry: entry["name"] == name) == []
