"""What Blob storage says when it refuses, in the words of the ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import StorageErrorCode

from shared.adapters.azure_access import storage_refusal
from shared.adapters.refusals_told import throttled
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere, PortError, Unavailable

_BUSY = frozenset({429, 503})
_LEASES: dict[object, tuple[type[PortError], str]] = {
    StorageErrorCode.LEASE_ALREADY_PRESENT: (AlreadyExists, "somebody else holds the blob"),
    StorageErrorCode.LEASE_ID_MISMATCH_WITH_BLOB_OPERATION: (ConcurrentChange, "somebody else holds the blob by now"),
    StorageErrorCode.LEASE_NOT_PRESENT_WITH_BLOB_OPERATION: (ConcurrentChange, "the lease on the blob has run out"),
    StorageErrorCode.LEASE_LOST: (ConcurrentChange, "the lease on the blob has run out"),
}


@contextmanager
def blob_errors() -> Iterator[None]:
    """Turn every SDK error of the block into a ``PortError``."""
    with _errors("Blob storage", "container"):
        yield


@contextmanager
def queue_errors() -> Iterator[None]:
    """The same for a storage queue, on which roles are given by account."""
    with _errors("Queue storage", "account"):
        yield


@contextmanager
def _errors(service: str, kind: str) -> Iterator[None]:
    try:
        yield
    except AzureError as error:
        refused = storage_refusal(error, service, kind)
        raise refused or _lease_error(error) or _port_error(error) from error


def _lease_error(error: AzureError) -> PortError | None:
    found = _LEASES.get(getattr(error, "error_code", None))
    if found is None:
        return None
    kind, message = found
    return kind(message)


def _port_error(error: AzureError) -> PortError:
    match error:
        case ResourceNotFoundError():
            return NotThere("the blob is not there")
        case ResourceExistsError():
            return AlreadyExists("the blob is there already")
        case ResourceModifiedError():
            return ConcurrentChange("the blob changed since it was read")
        case HttpResponseError(status_code=status) if status in _BUSY:
            return throttled("blobs", f"Blob storage is busy ({status})")
        case _:
            return Unavailable(f"Blob storage cannot be used: {type(error).__name__}")
