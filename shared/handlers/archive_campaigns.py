"""Rows of campaigns that ended long ago go into blobs, and then out of the table.

Each step reads a part, does it, and writes the campaign's row under the etag it was read with: it may come twice, two
may run, and the process may die between any two writes. No blob is ever overwritten, so that what was exported once
stays exported; nothing is deleted before every row is exported and counted; and a row goes only as it was exported, or
after it was written once more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from shared.domain.campaigns import Campaign
from shared.domain.gates import Counters
from shared.domain.ids import CampaignId
from shared.domain.retention import (
    Archive,
    ArchivePhase,
    close_export,
    find_part,
    find_retention,
    note_deleted,
    note_part,
    note_shard,
)
from shared.domain.rollouts import FINAL, RolloutState
from shared.handlers.alerts import raise_alert
from shared.handlers.unreadable_rows import unless_unreadable
from shared.ports.archive import ArchiveStore, RolloutRows, RowCopy
from shared.ports.bus import EventPublisher
from shared.ports.campaigns import CampaignStore
from shared.ports.errors import AlreadyExists, ConcurrentChange
from shared.ports.rollouts import RolloutStore
from shared.ports.stored import Stored
from shared.wire.archive_parts import Line, late_blob, part_blob, read_lines, write_lines

log = logging.getLogger(__name__)

PART_ROWS = 5_000
"""Rows of one part: some hundred kilobytes gzipped, five pages of the table, fifty transactions."""

PAGE_SIZE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePorts:
    """What archiving needs from outside.

    Attributes:
        keep: How long rows of a finished campaign stay in the table where it does not say so itself; None for ever.
        patience: How long one run may take; what is left is for the next.
    """

    campaigns: CampaignStore
    rollouts: RolloutStore
    rows: RolloutRows
    archive: ArchiveStore
    publisher: EventPublisher
    clock: Callable[[], datetime]
    keep: timedelta | None
    patience: timedelta = timedelta(minutes=8)
    part_rows: int = PART_ROWS


def archive_campaigns(ports: ArchivePorts) -> None:
    """Take every step that is due and that there is time for.

    Raises:
        PortError: A store does not answer; the next run goes on.
    """
    gives_up_at = ports.clock() + ports.patience
    for campaign in list(_candidates(ports)):
        unless_unreadable(partial(_archive, campaign.id, ports, gives_up_at), None)


def _archive(campaign: CampaignId, ports: ArchivePorts, gives_up_at: datetime) -> None:
    stored: Stored[Campaign] | None = ports.campaigns.get(campaign)
    while stored is not None and ports.clock() < gives_up_at:
        stored = _take_step(stored, ports)


def _candidates(ports: ArchivePorts) -> Iterator[Campaign]:
    continuation, now = "", ports.clock()
    while True:
        page = ports.campaigns.list_page(size=PAGE_SIZE, continuation=continuation)
        yield from (campaign for campaign in page.items if _is_due(campaign, ports.keep, now))
        if not (continuation := page.continuation):
            return


def _is_due(campaign: Campaign, default: timedelta | None, now: datetime) -> bool:
    if not campaign.is_finished or campaign.walks or (campaign.archive is not None and campaign.archive.is_over):
        return False
    keep = find_retention(campaign.spec.retention_days, default)
    return keep is not None and campaign.changed_at + keep <= now


def _take_step(stored: Stored[Campaign], ports: ArchivePorts) -> Stored[Campaign] | None:
    """The campaign one step on; None where nothing more is to be done now, or somebody else is doing it."""
    campaign = stored.value
    try:
        archive = _next(campaign, ports)
        if archive is None:
            return None
        saved = ports.campaigns.save(Stored(value=replace(campaign, archive=archive), etag=stored.etag))
    except ConcurrentChange as error:
        log.info("%s: left to the next run: %s", campaign.id, error)
        return None
    if archive.phase is ArchivePhase.HALTED:
        _alert(campaign, archive, ports)
    if archive.is_over:
        log.info("%s: %s, %d rows, %d of them once more", campaign.id, archive.phase, archive.rows, archive.late)
        return None
    return saved


def _next(campaign: Campaign, ports: ArchivePorts) -> Archive | None:
    archive, now = campaign.archive, ports.clock()
    if not campaign.is_finished:
        return None
    if archive is None:
        return None if _has_open_rows(campaign, ports) else Archive(begun_at=now.replace(microsecond=0))
    match archive.phase:
        case ArchivePhase.EXPORTING if archive.shard < campaign.shards:
            return _export_part(campaign, archive, ports)
        case ArchivePhase.EXPORTING:
            closed = close_export(archive, counted=_count(campaign, ports).total)
            return find_part(closed, now=now) if closed.phase is ArchivePhase.DELETING else closed
        case ArchivePhase.DELETING:
            return _delete_part(campaign, archive, ports)
        case _:
            return None


def _count(campaign: Campaign, ports: ArchivePorts) -> Counters:
    counted = (ports.rollouts.read_counters(campaign.id, wave.number, campaign.shards) for wave in campaign.waves)
    return sum(counted, start=Counters())


def _has_open_rows(campaign: Campaign, ports: ArchivePorts) -> bool:
    """Whether a device may still be at it: a wave passes while some of its devices are offline."""
    counters = _count(campaign, ports)
    return counters.total > counters.of(*FINAL, RolloutState.PLANNED)


def _export_part(campaign: Campaign, archive: Archive, ports: ArchivePorts) -> Archive:
    rows = ports.rows.read_after(campaign.id, archive.shard, after=archive.after, limit=ports.part_rows)
    if not rows:
        return note_shard(archive)
    name = part_blob(campaign.id, archive)
    try:
        ports.archive.create(name, write_lines(map(_line, rows)))
    except AlreadyExists:
        log.info("%s was written by somebody who died, or is doing the same", name)
    # What lies there counts, not what was just read: it may be an earlier try's.
    lines = read_lines(ports.archive.read(name))
    return note_part(archive, len(lines), lines[-1][0])


def _delete_part(campaign: Campaign, archive: Archive, ports: ArchivePorts) -> Archive:
    exported = {key: etag for key, etag, _ in read_lines(ports.archive.read(part_blob(campaign.id, archive)))}
    first, last = min(exported), max(exported)
    rows = ports.rows.read_between(campaign.id, archive.shard, first=first, last=last)
    late = [row for row in rows if exported.get(row.key) != row.etag]
    if late:
        _write_late(campaign, archive, late, ports)
    ports.rows.delete(campaign.id, archive.shard, rows)
    return note_deleted(archive, len(late), now=ports.clock())


def _write_late(campaign: Campaign, archive: Archive, late: list[RowCopy], ports: ArchivePorts) -> None:
    content = write_lines(map(_line, late))
    try:
        ports.archive.create(late_blob(campaign.id, archive, content), content)
    except AlreadyExists:
        return


def _line(row: RowCopy) -> Line:
    return row.key, row.etag, row.fields


def _alert(campaign: Campaign, archive: Archive, ports: ArchivePorts) -> None:
    message = (
        f"{archive.rows} rows of {campaign.id} were exported, its counters hold another number; nothing was deleted. "
        f"Find out who wrote into the table rollout"
    )
    subject = f"campaigns/{campaign.id}"
    raise_alert(ports.publisher, subject=subject, code="archive_halted", message=message, now=ports.clock())
