"""The blob trigger's poison queue; implements ``CrashReports``.

Bodies are ``{FunctionId, BlobType, ContainerName, BlobName, ETag}`` (Azure Functions, blob trigger, poison blobs), in
Base64, the Functions host's default encoding, or as plain JSON, where a host was told so.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator

from azure.storage.queue import QueueClient, QueueMessage

from shared.adapters.azure_blob_errors import queue_errors
from shared.ports.errors import NotThere
from shared.ports.packages import CrashReport

POISON_QUEUE = "webjobs-blobtrigger-poison"
_HIDDEN_S = 300
_AT_MOST = 320
_PER_CALL = 32


class AzureCrashReports:
    """The queue ``webjobs-blobtrigger-poison``."""

    def __init__(self, queue: QueueClient) -> None:
        self._queue = queue

    def receive(self) -> Iterator[CrashReport]:
        """The entries now visible; none where the host never made the queue."""
        try:
            with queue_errors():
                yield from map(_report, self._messages())
        except NotThere:
            return

    def remove(self, report: CrashReport) -> None:
        """Take an entry off the queue."""
        message_id, _, pop_receipt = report.receipt.partition(" ")
        try:
            with queue_errors():
                self._queue.delete_message(message_id, pop_receipt)
        except NotThere:
            return

    def _messages(self) -> Iterator[QueueMessage]:
        return iter(
            self._queue.receive_messages(
                messages_per_page=_PER_CALL, max_messages=_AT_MOST, visibility_timeout=_HIDDEN_S
            )
        )


def _report(message: QueueMessage) -> CrashReport:
    receipt = f"{message.id} {message.pop_receipt}"
    body = str(message.content).encode()
    try:
        fields = json.loads(body if body.lstrip().startswith(b"{") else base64.b64decode(body, validate=True))
        return CrashReport(
            receipt=receipt,
            body=body,
            container=str(fields["ContainerName"]),
            blob_name=str(fields["BlobName"]),
            etag=str(fields.get("ETag") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        return CrashReport(receipt=receipt, body=body)
