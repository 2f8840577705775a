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

from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere, PortError, Throttled, Unavailable

_BUSY = frozenset({429, 503})


@contextmanager
def blob_errors() -> Iterator[None]:
    """Turn every SDK error of the block into a ``PortError``."""
    try:
        yield
    except AzureError as error:
        raise _port_error(error) from error


def _port_error(error: AzureError) -> PortError:
    match error:
        case ResourceNotFoundError():
            return NotThere("the blob is not there")
        case ResourceExistsError():
            return AlreadyExists("the blob is there already")
        case ResourceModifiedError():
            return ConcurrentChange("the blob changed since it was read")
        case HttpResponseError(status_code=status) if status in _BUSY:
            return Throttled(f"Blob storage is busy ({status})")
        case _:
            return Unavailable(f"Blob storage cannot be used: {type(error).__name__}")
