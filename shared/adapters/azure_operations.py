"""The ``operations`` table on Azure Table storage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from azure.core import MatchConditions
from azure.data.tables import TableClient, TableEntity, UpdateMode

from shared.adapters.azure_table_errors import table_errors
from shared.adapters.stored_rows import read_row, readable_rows
from shared.domain.ids import OperationId
from shared.domain.operations import Operation, OperationState
from shared.ports.stored import Stored
from shared.wire.operation_rows import OPERATION_ROW, read_operation, write_operation_row


class AzureOperations:
    """An ``OperationStore``; one instance serves all threads of a process."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    def create(self, operation: Operation) -> None:
        with table_errors():
            self._table.create_entity(write_operation_row(operation))

    def get(self, operation: OperationId) -> Stored[Operation]:
        with table_errors():
            row = self._table.get_entity(operation, OPERATION_ROW)
        return _stored(row)

    def save(self, operation: Stored[Operation]) -> Stored[Operation]:
        with table_errors():
            metadata = self._table.update_entity(
                write_operation_row(operation.value),
                mode=UpdateMode.REPLACE,
                etag=operation.etag,
                match_condition=MatchConditions.IfNotModified,
            )
        return Stored(value=operation.value, etag=str(metadata["etag"]))

    def list_unfinished(self) -> Iterator[Operation]:
        rows = self._table.query_entities("state eq @running", parameters={"running": OperationState.RUNNING.value})
        with table_errors():
            yield from readable_rows(read_operation, rows)

    def list_unchanged(self, since: datetime) -> Iterator[Stored[Operation]]:
        rows = self._table.query_entities("changed_at le @since", parameters={"since": since})
        with table_errors():
            yield from readable_rows(_stored, rows)

    def delete(self, operation: Stored[Operation]) -> None:
        with table_errors():
            # The SDK passes over a row that is not there.
            self._table.delete_entity(
                operation.value.id,
                OPERATION_ROW,
                etag=operation.etag,
                match_condition=MatchConditions.IfNotModified,
            )


def _stored(row: TableEntity) -> Stored[Operation]:
    return Stored(value=read_row(read_operation, row), etag=str(row.metadata["etag"]))
