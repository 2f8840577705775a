"""What Table storage says when it refuses, in the words of the ports."""

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
from azure.data.tables import TableErrorCode, TableTransactionError

from shared.adapters.azure_access import storage_refusal
from shared.adapters.refusals_told import throttled
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere, PortError, Unavailable

_CONDITION_FAILED = frozenset({TableErrorCode.UPDATE_CONDITION_NOT_SATISFIED, TableErrorCode.CONDITION_NOT_MET})
_NOT_FOUND = frozenset({TableErrorCode.RESOURCE_NOT_FOUND, TableErrorCode.ENTITY_NOT_FOUND})
_BUSY = frozenset({429, 503})


@contextmanager
def table_errors() -> Iterator[None]:
    """Turn every SDK error of the block into a ``PortError``."""
    try:
        yield
    except AzureError as error:
        raise port_error(error) from error


def port_error(error: AzureError) -> PortError:
    """The port's word for an SDK error."""
    if (refused := storage_refusal(error, "Table storage", "table")) is not None:
        return refused
    code = getattr(error, "error_code", None)
    if isinstance(error, ResourceModifiedError) or code in _CONDITION_FAILED:
        return ConcurrentChange("a table row changed since it was read")
    if isinstance(error, ResourceExistsError) or code == TableErrorCode.ENTITY_ALREADY_EXISTS:
        return AlreadyExists("the table row is there already")
    if isinstance(error, ResourceNotFoundError) or code in _NOT_FOUND:
        return NotThere("the table row is not there")
    if isinstance(error, HttpResponseError) and error.status_code in _BUSY:
        return throttled("tables", f"Table storage is busy ({error.status_code})")
    return Unavailable(f"Table storage cannot be used: {type(error).__name__}")


def failed_operation(error: TableTransactionError) -> int:
    """Which operation of a transaction failed, from 0."""
    return int(error.index)
