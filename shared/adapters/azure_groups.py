"""The table ``groups``."""

from __future__ import annotations

from azure.core import MatchConditions
from azure.data.tables import TableClient, UpdateMode

from shared.adapters.azure_table_errors import table_errors
from shared.adapters.stored_rows import read_row
from shared.domain.groups import Group, GroupName
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere
from shared.ports.stored import Page, Stored
from shared.wire.group_rows import GROUPS_PARTITION, read_group_row, write_group_row


class AzureGroups:
    """A ``GroupStore``."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    def find(self, name: GroupName) -> Stored[Group] | None:
        try:
            with table_errors():
                row = self._table.get_entity(GROUPS_PARTITION, name)
        except NotThere:
            return None
        return Stored(value=read_row(read_group_row, row), etag=str(row.metadata["etag"]))

    def save(self, group: Stored[Group]) -> None:
        row = write_group_row(group.value)
        if group.etag:
            with table_errors():
                self._table.update_entity(
                    row, mode=UpdateMode.REPLACE, etag=group.etag, match_condition=MatchConditions.IfNotModified
                )
            return
        try:
            with table_errors():
                self._table.create_entity(row)
        except AlreadyExists as error:
            raise ConcurrentChange(f"somebody else made the group {group.value.name} first") from error

    def list_page(self, *, size: int, continuation: str = "") -> Page[Group]:
        rows = self._table.query_entities(
            "PartitionKey eq @partition and RowKey gt @after and is_deleted eq false",
            parameters={"partition": GROUPS_PARTITION, "after": continuation},
            results_per_page=size,
        )
        found: list[Group] = []
        with table_errors():
            # A page of the service may hold fewer rows than asked for, or none, and yet not be the last.
            for row in rows:
                if len(found) == size:
                    return Page(items=tuple(found), continuation=found[-1].name)
                found.append(read_row(read_group_row, row))
        return Page(items=tuple(found))
