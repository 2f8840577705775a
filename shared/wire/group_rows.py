"""Rows of the table ``groups``: one partition, row = name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.groups import Group, group_name
from shared.wire.known import refuse_unknown

GROUPS_PARTITION = "groups"
_COLUMNS = frozenset({"PartitionKey", "RowKey", "query", "list", "number", "changed_by", "changed_at", "is_deleted"})


def write_group_row(group: Group) -> dict[str, Any]:
    """The row of a group."""
    return {
        "PartitionKey": GROUPS_PARTITION,
        "RowKey": group.name,
        "query": group.query,
        "list": group.list_name,
        "number": group.number,
        "changed_by": group.changed_by,
        "changed_at": group.changed_at,
        "is_deleted": group.is_deleted,
    }


def read_group_row(row: Mapping[str, Any]) -> Group:
    """The group in a row.

    Raises:
        ValueError: A newer version wrote it, or somebody edited it, so that it cannot be read whole.
    """
    refuse_unknown(row, _COLUMNS)
    return Group(
        name=group_name(row["RowKey"]),
        query=row["query"],
        list_name=row["list"],
        number=row["number"],
        changed_by=row["changed_by"],
        changed_at=row["changed_at"],
        is_deleted=row["is_deleted"],
    )
