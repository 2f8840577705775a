"""Turns blob changes into Event Grid events in a storage queue, where the functions host finds them."""

import asyncio
import itertools
import json
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from emulator.names import EVENTS_QUEUE
from emulator.storage.access_log import BlobApi, BlobChange, read_access

log = logging.getLogger("cloud.storage")


class BlobEvents:
    """Publishes `Microsoft.Storage.BlobCreated` for the watched containers.

    Args:
        containers: containers whose blobs have a trigger.
        on_queued: called after an event was queued.
    """

    def __init__(self, containers: frozenset[str], *, on_queued: Callable[[], None]) -> None:
        self._containers = containers
        self._on_queued = on_queued
        self._changes: asyncio.Queue[BlobChange] = asyncio.Queue()
        self._publishing = 0
        self._sequence = itertools.count(1)
        self.published = 0

    def see_line(self, line: str) -> None:
        """Take one line of Azurite's output."""
        change = read_access(line)
        if change and change.container in self._containers and change.api is not BlobApi.DELETE_BLOB:
            self._changes.put_nowait(change)

    @property
    def waiting(self) -> int:
        """Changes whose events are not in the queue yet."""
        return self._changes.qsize() + self._publishing

    async def run(self, connection_string: str) -> None:
        """Queue events for ever; cancel to end."""
        queue = QueueClient.from_connection_string(
            connection_string, EVENTS_QUEUE, message_encode_policy=TextBase64EncodePolicy()
        )
        async with BlobServiceClient.from_connection_string(connection_string) as blobs, queue:
            while True:
                change = await self._changes.get()
                self._publishing = 1
                try:
                    await self._publish(change, blobs, queue)
                except AzureError:
                    log.exception("no event for %s/%s", change.container, change.blob)
                finally:
                    self._publishing = 0

    async def _publish(self, change: BlobChange, blobs: BlobServiceClient, queue: QueueClient) -> None:
        blob = blobs.get_blob_client(change.container, change.blob)
        try:
            properties = await blob.get_blob_properties()
        except ResourceNotFoundError:
            return
        event = _created_event(change, blob.url, properties, next(self._sequence))
        await queue.send_message(json.dumps(event))
        self.published += 1
        self._on_queued()


async def make_events_queue(connection_string: str) -> None:
    """Create the queue that the events go to, unless it exists."""
    async with QueueClient.from_connection_string(connection_string, EVENTS_QUEUE) as queue:
        try:
            await queue.create_queue()
        except ResourceExistsError:
            return


def _created_event(change: BlobChange, url: str, properties: BlobProperties, sequence: int) -> dict[str, Any]:
    """The event in its documented schema (event-grid/event-schema-blob-storage)."""
    return {
        "topic": "/subscriptions/local/providers/Microsoft.Storage/storageAccounts/localcloud",
        "subject": f"/blobServices/default/containers/{change.container}/blobs/{change.blob}",
        "eventType": "Microsoft.Storage.BlobCreated",
        "eventTime": datetime.now(UTC).isoformat(),
        "id": str(uuid.uuid4()),
        "dataVersion": "",
        "metadataVersion": "1",
        "data": {
            "api": str(change.api),
            "requestId": str(uuid.uuid4()),
            "eTag": (properties.etag or "").strip('"'),
            "contentType": properties.content_settings.content_type,
            "contentLength": properties.size,
            "blobType": "BlockBlob",
            "url": url,
            "sequencer": f"{sequence:032X}",
            "storageDiagnostics": {"batchId": str(uuid.uuid4())},
        },
    }
