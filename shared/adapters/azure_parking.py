"""The ``parked`` container: messages that nobody could read, each as it came, with the reason as metadata."""

from __future__ import annotations

import hashlib

from azure.storage.blob import ContainerClient, ContentSettings

from shared.adapters.azure_blob_errors import blob_errors
from shared.ports.errors import AlreadyExists
from shared.wire.parking import parked_blob, write_reason


class AzureParking:
    """A ``Parking``."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def park(self, *, source: str, body: bytes, code: str, reason: str) -> None:
        name = parked_blob(source, hashlib.sha256(body).hexdigest())
        try:
            with blob_errors():
                self._container.upload_blob(
                    name,
                    body,
                    metadata=write_reason(source=source, code=code, reason=reason),
                    content_settings=ContentSettings(content_type="application/octet-stream"),
                )
        except AlreadyExists:
            return
