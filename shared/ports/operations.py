"""Rows of dry runs, and the blobs of their drafts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
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
            UnreadableRow: A newer version wrote it, or somebody edited it.
        """

    def save(self, operation: Stored[Operation]) -> Stored[Operation]:
        """Write the operation if nobody else has since it was read.

        Raises:
            ConcurrentChange: Somebody has.
        """

    def list_unfinished(self) -> Iterator[Operation]:
        """Operations that have a step left; the store scans its rows for them.

        Raises:
            UnreadableRow: When all others are through: there is one that this version cannot read.
        """

    def list_unchanged(self, since: datetime) -> Iterator[Stored[Operation]]:
        """Operations that were written at that moment for the last time, or before; the store scans its rows.

        Raises:
            UnreadableRow: When all others are through: there is one that this version cannot read.
        """

    def delete(self, operation: Stored[Operation]) -> None:
        """Delete the row if nobody has written it since it was read; one that is gone is gone.

        Raises:
            ConcurrentChange: Somebody has.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftBlob:
    """One blob of a dry run's draft, as it was listed."""

    operation: OperationId
    name: str
    etag: str
    changed_at: datetime


class DraftBlobs(Protocol):
    """What dry runs left in the container ``manifests``."""

    def list_drafts(self) -> Iterator[DraftBlob]:
        """The blobs of all dry runs, none of a campaign, in the order of their names."""

    def delete_draft(self, blob: DraftBlob) -> None:
        """Delete the blob; one that was written anew stays, and one that is gone is gone."""
