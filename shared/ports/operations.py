"""Rows of dry runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from shared.domain.ids import OperationId
from shared.domain.operations import Operation
from shared.ports.stored import Stored


class OperationStore(Protocol):
    """Table ``operations``: one row per operation."""

    def create(self, operation: Operation) -> None:
        """Write a new operation.

        Raises:
            AlreadyExists: The id is taken.
        """

    def get(self, operation: OperationId) -> Stored[Operation]:
        """The operation.

        Raises:
            NotThere: No such operation.
        """

    def save(self, operation: Stored[Operation]) -> Stored[Operation]:
        """Write the operation if nobody else has since it was read.

        Raises:
            ConcurrentChange: Somebody has.
        """

    def list_unfinished(self) -> Iterator[Operation]:
        """Operations that have a step left; the store scans its rows for them."""
