"""Rollout rows as they lie in the table, and the blobs they go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.domain.ids import CampaignId


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCopy:
    """A row as it lies in the table.

    Attributes:
        key: Its row key.
        fields: Column to value, as JSON holds it.
    """

    key: str
    etag: str
    fields: Mapping[str, Any]


class RolloutRows(Protocol):
    """Table ``rollout`` row by row, counters left out."""

    def read_after(self, campaign: CampaignId, shard: int, *, after: str, limit: int) -> list[RowCopy]:
        """The next rows behind a key, in the order of their keys."""

    def read_between(self, campaign: CampaignId, shard: int, *, first: str, last: str) -> list[RowCopy]:
        """The rows from a key to another, both included."""

    def delete(self, campaign: CampaignId, shard: int, rows: Sequence[RowCopy]) -> None:
        """Delete rows that nobody changed since they were read, a hundred in a transaction; counters stay as they are.

        Raises:
            ConcurrentChange: One has changed or is gone; some may be deleted.
        """


class ArchiveStore(Protocol):
    """Container ``archive``: nothing in it is ever overwritten."""

    def create(self, name: str, content: bytes) -> None:
        """Write a blob, whole or not at all.

        Raises:
            AlreadyExists: It is there.
        """

    def read(self, name: str) -> bytes:
        """A blob.

        Raises:
            NotThere: There is none.
        """
