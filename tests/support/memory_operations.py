"""Dry runs in memory, with the conditions of the table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import count

from shared.domain.ids import OperationId
from shared.domain.operations import Operation
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere
from shared.ports.stored import Stored


class MemoryOperations:
    """An ``OperationStore``."""

    def __init__(self) -> None:
        self._rows: dict[OperationId, Stored[Operation]] = {}
        self._etags = count(1)

    def create(self, operation: Operation) -> None:
        if operation.id in self._rows:
            raise AlreadyExists(operation.id)
        self._keep(operation)

    def get(self, operation: OperationId) -> Stored[Operation]:
        if operation not in self._rows:
            raise NotThere(operation)
        return self._rows[operation]

    def save(self, operation: Stored[Operation]) -> Stored[Operation]:
        if self.get(operation.value.id).etag != operation.etag:
            raise ConcurrentChange(operation.value.id)
        return self._keep(operation.value)

    def list_unfinished(self) -> Iterator[Operation]:
        yield from [row.value for row in self._rows.values() if not row.value.is_done]

    def list_unchanged(self, since: datetime) -> Iterator[Stored[Operation]]:
        yield from [row for row in self._rows.values() if row.value.changed_at <= since]

    def delete(self, operation: Stored[Operation]) -> None:
        row = self._rows.get(operation.value.id)
        if row is not None and row.etag != operation.etag:
            raise ConcurrentChange(operation.value.id)
        self._rows.pop(operation.value.id, None)

    def _keep(self, operation: Operation) -> Stored[Operation]:
        self._rows[operation.id] = Stored(value=operation, etag=str(next(self._etags)))
        return self._rows[operation.id]
