"""The ``parked`` container: messages that nobody could read, each as it came, with the reason as metadata."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence

from azure.core import MatchConditions
from azure.storage.blob import BlobProperties, ContainerClient, ContentSettings

from shared.adapters.azure_blob_errors import blob_errors
from shared.ports.errors import ConcurrentChange, NotThere
from shared.ports.replay import Send, SetAside, queue_of
from shared.telemetry.signals import Signal, emit
from shared.wire.parking import parked_blob, read_reason, read_session, write_reason

log = logging.getLogger(__name__)

PREFIX = "parked/"


class AzureParking:
    """A ``Parking``, and the ``SetAsideMessages`` that lie in it."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def park(self, *, source: str, body: bytes, code: str, reason: str, session_id: str = "") -> None:
        # Written over what is there, so that a replay under way does not remove what was parked once more.
        with blob_errors():
            self._container.upload_blob(
                parked_blob(source, hashlib.sha256(body).hexdigest()),
                body,
                overwrite=True,
                metadata=write_reason(source=source, code=code, reason=reason, session_id=session_id),
                content_settings=ContentSettings(content_type="application/octet-stream"),
            )
        message = f"{source}: parked a message: {code}: {reason}"
        emit(log, Signal.PARKED, message, level=logging.ERROR, source=source, code=code)

    def list(self) -> Iterator[SetAside]:
        with blob_errors():
            for blob in self._container.list_blobs(include=["metadata"]):
                yield _parked(blob)

    def resend(self, chosen: Sequence[SetAside], send: Send) -> int:
        return sum(self._resend(message, send) for message in chosen)

    def _resend(self, message: SetAside, send: Send) -> bool:
        blob = self._container.get_blob_client(message.id.removeprefix(PREFIX))
        try:
            with blob_errors():
                body = blob.download_blob(etag=message.receipt, match_condition=MatchConditions.IfNotModified).readall()
        except (NotThere, ConcurrentChange):
            return False
        send(message, body)
        try:
            with blob_errors():
                blob.delete_blob(etag=message.receipt, match_condition=MatchConditions.IfNotModified)
        except (NotThere, ConcurrentChange):
            # Gone already, or parked once more: then it is to stay.
            pass
        return True


def _quoted(etag: str) -> str:
    """Listings name etags without the quotes that conditions want."""
    return etag if etag.startswith('"') else f'"{etag}"'


def _parked(blob: BlobProperties) -> SetAside:
    source, code, reason = read_reason(blob.metadata or {})
    return SetAside(
        id=f"{PREFIX}{blob.name}",
        queue=queue_of(source),
        session_id=read_session(blob.metadata or {}),
        code=code,
        reason=reason,
        since=blob.last_modified,
        receipt=_quoted(blob.etag),
    )
