"""Artifacts in Blob storage: read in ranges, copied by the service, deleted only where nobody wrote since.

Copies use Copy Blob, which takes any size, authorises a source in the same account without another credential, and
is polled until it has ended; the synchronous form ends at 256 MiB (Blob service REST reference, Copy Blob From URL).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future

from azure.core import MatchConditions
from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient

from shared.adapters.azure_blob_errors import blob_errors
from shared.ports.errors import ConcurrentChange, NotThere, Unavailable
from shared.ports.packages import IncomingArtifact, QuarantineLabel
from shared.telemetry.threads import TellingThreads

INCOMING = "incoming"
PACKAGES = "packages"
QUARANTINE = "quarantine"

RANGE_BYTES = 6 * 1024 * 1024
"""As large as memory allows (a few ranges are held at a time), because each one costs a round trip."""

RANGES_AHEAD = 2
_MAX_NAME_LENGTH = 1024
_POLL_S = 0.5
_COPY_TIMEOUT_S = 480.0


class AzureArtifacts:
    """The containers ``incoming``, ``packages`` and ``quarantine``; implements ``ArtifactStore``.

    Args:
        wait: Sleeps for so many seconds between two looks at a copy.
    """

    def __init__(self, service: BlobServiceClient, *, wait: Callable[[float], None] = time.sleep) -> None:
        self._service = service
        self._wait = wait

    def find_incoming(self, name: str) -> IncomingArtifact | None:
        """What lies there now."""
        if not is_addressable(name):
            return None
        try:
            with blob_errors():
                return _artifact(self._blob(INCOMING, name).get_blob_properties())
        except NotThere:
            return None

    def list_incoming(self) -> Iterator[IncomingArtifact]:
        """Everything in ``incoming``."""
        with blob_errors():
            for properties in self._service.get_container_client(INCOMING).list_blobs(include=["metadata"]):
                yield _artifact(properties)

    def stream(self, artifact: IncomingArtifact) -> Generator[bytes]:
        """The content, two ranges ahead of the reader so that reading and digesting overlap."""
        blob = self._blob(INCOMING, artifact.name)
        pool = TellingThreads(RANGES_AHEAD, thread_name_prefix="artifact-range")
        ahead: deque[Future[bytes]] = deque()
        try:
            for offset in range(0, artifact.size_bytes, RANGE_BYTES):
                ahead.append(pool.submit(_read_range, blob, artifact.etag, offset))
                if len(ahead) > RANGES_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except ConcurrentChange as error:
            raise NotThere("other bytes lie there now") from error
        finally:
            pool.shutdown(cancel_futures=True)

    def copy_to_packages(self, artifact: IncomingArtifact, blob_name: str) -> None:
        """Copy on the server side."""
        self._copy(artifact, self._blob(PACKAGES, blob_name), {"source": _header_safe(artifact.name)})

    def copy_to_quarantine(self, artifact: IncomingArtifact, label: QuarantineLabel) -> None:
        """Copy on the server side, labelled."""
        self._copy(artifact, self._blob(QUARANTINE, label.name), {"code": label.code, "reason": label.reason})

    def write_quarantine_note(self, name: str, content: bytes) -> None:
        """Write a JSON blob into ``quarantine``."""
        with blob_errors():
            self._blob(QUARANTINE, name).upload_blob(content, overwrite=True)

    def delete_incoming(self, artifact: IncomingArtifact) -> None:
        """Delete these bytes and no others."""
        try:
            with blob_errors():
                self._blob(INCOMING, artifact.name).delete_blob(
                    etag=artifact.etag, match_condition=MatchConditions.IfNotModified
                )
        except (NotThere, ConcurrentChange):
            return

    def _copy(self, artifact: IncomingArtifact, target: BlobClient, metadata: Mapping[str, str]) -> None:
        looks = int(_COPY_TIMEOUT_S / _POLL_S)
        for _ in range(looks):
            status = self._copy_status(target, artifact)
            if status == "success":
                return
            if status == "pending":
                self._wait(_POLL_S)
            else:
                self._start_copy(artifact, target, metadata)
        raise Unavailable(f"the copy of {artifact.name} is still under way; the next try looks at it again")

    def _copy_status(self, target: BlobClient, artifact: IncomingArtifact) -> str:
        """``success``, ``pending``, or anything else where it must be started (again)."""
        try:
            with blob_errors():
                properties = target.get_blob_properties()
        except NotThere:
            return "missing"
        status = properties.copy.status or "missing"
        if status == "success" and properties.size != artifact.size_bytes:
            return "other"
        return str(status)

    def _start_copy(self, artifact: IncomingArtifact, target: BlobClient, metadata: Mapping[str, str]) -> None:
        source = self._blob(INCOMING, artifact.name).url
        try:
            with blob_errors():
                target.start_copy_from_url(
                    source,
                    metadata=dict(metadata),
                    source_etag=artifact.etag,
                    source_match_condition=MatchConditions.IfNotModified,
                )
        except ConcurrentChange as error:
            raise NotThere("other bytes lie there now") from error

    def _blob(self, container: str, name: str) -> BlobClient:
        return self._service.get_blob_client(container, name)


def is_addressable(name: str) -> bool:
    """Whether a URL can name the blob: HTTP clients resolve dot segments, which would lead to another container."""
    segments = name.split("/")
    return 0 < len(name) <= _MAX_NAME_LENGTH and not {".", ".."} & set(segments)


def _read_range(blob: BlobClient, etag: str, offset: int) -> bytes:
    with blob_errors():
        return blob.download_blob(
            offset=offset, length=RANGE_BYTES, etag=etag, match_condition=MatchConditions.IfNotModified
        ).readall()


def _artifact(properties: BlobProperties) -> IncomingArtifact:
    return IncomingArtifact(
        name=str(properties.name),
        # Listings give etags without their quotes.
        etag='"' + str(properties.etag).strip('"') + '"',
        size_bytes=int(properties.size),
        metadata={key.lower(): value for key, value in (properties.metadata or {}).items()},
        dropped_at=properties.last_modified,
    )


def _header_safe(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()
