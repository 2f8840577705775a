"""Rows that this version cannot read: a newer one wrote them, or somebody edited them. They are left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from shared.domain.errors import DomainError
from shared.ports.errors import UnreadableRow


def read_row[T](read: Callable[[Any], T], row: Mapping[str, Any]) -> T:
    """What is in the row.

    Raises:
        UnreadableRow: It cannot be read whole.
    """
    try:
        return read(row)
    except (ValueError, KeyError, TypeError, AttributeError, DomainError) as error:
        where = f"{row.get('PartitionKey')}/{row.get('RowKey')}"
        raise UnreadableRow(
            f"the row {where} cannot be read and is left alone: {_why(error)}; a newer version wrote it, or somebody "
            "edited it"
        ) from error


def readable_rows[R: Mapping[str, Any], T](read: Callable[[R], T], rows: Iterable[R]) -> Iterator[T]:
    """What is in the rows that can be read.

    Raises:
        UnreadableRow: When all are through: one could not be read.
    """
    failure: UnreadableRow | None = None
    for row in rows:
        try:
            yield read_row(read, row)
        except UnreadableRow as error:
            failure = failure or error
    if failure is not None:
        raise failure


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"no column {error}"
    return str(error)[:100]
