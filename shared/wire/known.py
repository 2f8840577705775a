"""What of a stored row this version knows.

Rows are read whole and written whole, so what a reader passed over would be gone with the next write. While an
upgrade lasts, an instance of the old version meets rows that the new one wrote: those that hold something it does not
know it must not read at all, and all others it must be able to read. So readers refuse unknown columns and fields, and
writers leave out what is as it was before the column or field existed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter


class UnknownColumns(ValueError):
    """A row has columns that this version does not know."""


def refuse_unknown(row: Mapping[str, Any], known: frozenset[str]) -> None:
    """Return if the row has no column but these.

    Raises:
        UnknownColumns: It has others.
    """
    if unknown := row.keys() - known:
        raise UnknownColumns(f"unknown columns {', '.join(sorted(unknown))}")


def write_column[T](adapter: TypeAdapter[T], value: T) -> str:
    """A JSON column, fields that have their default left out."""
    return adapter.dump_json(value, exclude_defaults=True).decode()


def read_column[T](adapter: TypeAdapter[T], text: str, *, retired: frozenset[str] = frozenset()) -> T:
    """The value in a JSON column.

    Args:
        retired: Fields of former versions that say nothing any more.

    Raises:
        ValueError: It has a field or a word that this version does not know, or is no such column at all.
    """
    if not retired:
        return adapter.validate_json(text, extra="forbid")
    document = json.loads(text)
    if isinstance(document, dict):
        document = {name: value for name, value in document.items() if name not in retired}
    return adapter.validate_json(json.dumps(document), extra="forbid")
