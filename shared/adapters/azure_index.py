"""The TUF repository in the container ``metadata``; implements ``IndexStore``.

The lease is taken on ``timestamp.json``, the one blob that is ever replaced, so that the service itself refuses a
publisher whose lease has run out. Everybody else may read on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from azure.core import MatchConditions
from azure.storage.blob import BlobClient, BlobLeaseClient, BlobServiceClient, ContentSettings

from shared.adapters.azure_blob_errors import blob_errors
from shared.ports.errors import AlreadyExists, ConcurrentChange, PortError, Unavailable
from shared.ports.stored import Stored
from shared.trust.index import TIMESTAMP_FILE, newest_versions

METADATA = "metadata"
LEASE_S = 60
"""Longer than a publish takes, and the longest a dead publisher keeps the others waiting; 60 is the service's bound."""

_WAIT_S = 90.0
_POLL_S = 0.5
_JSON = ContentSettings(content_type="application/json")


class AzureIndex:
    """The container ``metadata``.

    Args:
        wait: Sleeps for so many seconds between two tries to get the lease.
    """

    def __init__(self, service: BlobServiceClient, *, wait: Callable[[float], None] = time.sleep) -> None:
        self._container = service.get_container_client(METADATA)
        self._wait = wait

    def read(self, name: str) -> Stored[bytes]:
        """A metadata file."""
        with blob_errors():
            download = self._blob(name).download_blob()
            return Stored(value=download.readall(), etag=str(download.properties.etag))

    def create(self, name: str, content: bytes) -> None:
        """Write a file that must be new."""
        with blob_errors():
            self._blob(name).upload_blob(content, overwrite=False, content_settings=_JSON)

    def replace_timestamp(self, timestamp: Stored[bytes], lease: str) -> None:
        """Make a new state visible."""
        blob = self._blob(TIMESTAMP_FILE)
        with blob_errors():
            blob.upload_blob(
                timestamp.value,
                overwrite=True,
                lease=BlobLeaseClient(blob, lease_id=lease),
                etag=timestamp.etag,
                match_condition=MatchConditions.IfNotModified,
                content_settings=_JSON,
            )

    def newest_versions(self) -> Mapping[str, int]:
        """Role to the highest version stored of it."""
        with blob_errors():
            return newest_versions(self._container.list_blob_names())

    @contextmanager
    def hold(self) -> Iterator[str]:
        """Be the only publisher inside the block."""
        lease = self._acquire()
        try:
            yield str(lease.id)
        finally:
            # It ends by itself; failing to end it early must not hide how the block ended.
            with suppress(PortError), blob_errors():
                lease.release()

    def _acquire(self) -> BlobLeaseClient:
        for _ in range(int(_WAIT_S / _POLL_S)):
            try:
                with blob_errors():
                    return self._blob(TIMESTAMP_FILE).acquire_lease(lease_duration=LEASE_S)
            except (AlreadyExists, ConcurrentChange):
                self._wait(_POLL_S)
        raise Unavailable(f"another publisher has held the index for {_WAIT_S:.0f} s")

    def _blob(self, name: str) -> BlobClient:
        return self._container.get_blob_client(name)
