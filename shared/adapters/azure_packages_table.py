"""The table ``packages``; implements ``PackageStore``.

A package that waits for the index has a marker beside it, written and removed in the same transaction as its row's
change, so that finding those overdue reads as many rows as there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import TableClient, TableEntity, UpdateMode

from shared.adapters.azure_table_errors import table_errors
from shared.adapters.stored_rows import read_row, readable_rows
from shared.domain.packages import RegisteredPackage
from shared.ports.stored import Page, Stored
from shared.wire.package_rows import (
    MARKERS_FILTER,
    PACKAGES_FILTER,
    PARTITION,
    package_row_key,
    read_package_row,
    write_marker_row,
    write_package_row,
)

type _Operation = tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], dict[str, Any]]


class AzurePackages:
    """The table ``packages``."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    def create(self, package: RegisteredPackage) -> None:
        """Claim name and version."""
        self._submit([("create", write_package_row(package)), ("upsert", write_marker_row(package))])

    def get(self, name: str, version: str) -> Stored[RegisteredPackage]:
        """The row of a package."""
        with table_errors():
            entity = self._table.get_entity(PARTITION, package_row_key(name, version))
        return _stored(entity)

    def save(self, package: Stored[RegisteredPackage]) -> None:
        """Write the row if nobody else has."""
        condition = {
            "etag": package.etag,
            "match_condition": MatchConditions.IfNotModified,
            "mode": UpdateMode.REPLACE,
        }
        operations: list[_Operation] = [("update", write_package_row(package.value), condition)]
        marker = write_marker_row(package.value)
        if package.value.awaits_index:
            operations.append(("upsert", marker))
        elif self._has(marker):
            operations.append(("delete", marker))
        self._submit(operations)

    def list_unsettled(self) -> Iterator[RegisteredPackage]:
        """Packages of which the index does not say yet what their rows say."""
        with table_errors():
            markers = self._table.query_entities(MARKERS_FILTER)
            for row in readable_rows(lambda marker: self.get(marker["name"], marker["version"]).value, markers):
                if row.awaits_index:
                    yield row

    def list_page(self, *, size: int, continuation: str = "") -> Page[RegisteredPackage]:
        """Packages in the order of their names; the continuation is the last row key."""
        after = " and RowKey gt @after" if continuation else ""
        parameters = {"after": continuation} if continuation else {}
        with table_errors():
            pages = self._table.query_entities(PACKAGES_FILTER + after, parameters=parameters, results_per_page=size)
            entities = list(next(iter(pages.by_page()), []))
        last = entities[-1]["RowKey"] if len(entities) == size else ""
        return Page(items=tuple(read_row(read_package_row, entity) for entity in entities), continuation=last)

    def _has(self, entity: dict[str, Any]) -> bool:
        """Rows settled before, and written again, have no marker left; a transaction cannot delete nothing."""
        query = "PartitionKey eq @partition and RowKey eq @row"
        parameters = {"partition": entity["PartitionKey"], "row": entity["RowKey"]}
        with table_errors():
            return any(True for _ in self._table.query_entities(query, parameters=parameters))

    def _submit(self, operations: list[_Operation]) -> None:
        with table_errors():
            self._table.submit_transaction(operations)


def _stored(entity: TableEntity) -> Stored[RegisteredPackage]:
    return Stored(value=read_row(read_package_row, entity), etag=str(entity.metadata["etag"]))
