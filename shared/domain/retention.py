"""Retention: how far a finished campaign is on its way out of the table, and when it may go. Pure.

First every row is written into blobs, part by part, and counted; only then is any row deleted, part by part. Campaign,
waves, counters and the audit log stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class ArchivePhase(StrEnum):
    """How far it is. ``halted``: what was exported is not what was counted; people must look, nothing was deleted."""

    EXPORTING = "exporting"
    DELETING = "deleting"
    DONE = "done"
    HALTED = "halted"


P = ArchivePhase


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The cursor of archiving.

    Attributes:
        begun_at: Aware UTC, whole seconds; names the folder, so that an archive begun anew meets no part of an old one.
        shard: The shard in hand.
        part: The part in hand, from 0 in each shard.
        after: Exporting: key of the last row exported of the shard in hand.
        parts: Parts of each shard that is exported.
        rows: Rows exported so far.
        late: Rows that changed after they were exported and were written once more before they went.
        ended_at: When the last row was deleted.
    """

    begun_at: datetime
    phase: ArchivePhase = P.EXPORTING
    shard: int = 0
    part: int = 0
    after: str = ""
    parts: tuple[int, ...] = ()
    rows: int = 0
    late: int = 0
    ended_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it needs nothing more, or people."""
        return self.phase in (P.DONE, P.HALTED)


def find_retention(days: int | None, default: timedelta | None) -> timedelta | None:
    """How long the rows of a finished campaign stay; None for ever.

    Args:
        days: What the campaign says: 0 for ever, None for the service's default.
    """
    if days is None:
        return default
    return timedelta(days=days) or None


def note_part(archive: Archive, rows: int, last_key: str) -> Archive:
    """The cursor after a part of the shard in hand was exported."""
    return replace(archive, part=archive.part + 1, after=last_key, rows=archive.rows + rows)


def note_shard(archive: Archive) -> Archive:
    """The cursor after the last part of the shard in hand was exported."""
    return replace(archive, shard=archive.shard + 1, part=0, after="", parts=(*archive.parts, archive.part))


def close_export(archive: Archive, *, counted: int) -> Archive:
    """The cursor once all shards are exported: on to deleting, if every row that was counted is in the parts."""
    if archive.rows != counted:
        return replace(archive, phase=P.HALTED)
    return replace(archive, phase=P.DELETING, shard=0, part=0)


def note_deleted(archive: Archive, late: int, *, now: datetime) -> Archive:
    """The cursor after the part in hand was deleted, or where there is none, of its shard."""
    archive = replace(archive, part=archive.part + 1, late=archive.late + late)
    return find_part(archive, now=now)


def find_part(archive: Archive, *, now: datetime) -> Archive:
    """The cursor at the next part to delete; done where there is none."""
    shard, part = archive.shard, archive.part
    while shard < len(archive.parts) and part >= archive.parts[shard]:
        shard, part = shard + 1, 0
    if shard >= len(archive.parts):
        return replace(archive, phase=P.DONE, shard=shard, part=0, ended_at=now)
    return replace(archive, shard=shard, part=part)
