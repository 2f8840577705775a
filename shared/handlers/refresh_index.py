"""Keep the index from expiring: every day a new timestamp, and new signatures for what nears its end."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from tuf.api.metadata import Metadata, MetaFile, Targets

from shared.handlers.index_writing import IndexWriter
from shared.trust.index import Index

log = logging.getLogger(__name__)

# Bins made together expire together: a daily share keeps one run short, and a third of their life is enough for all.
BINS_PER_RUN = 64
OWNERS_WARNING = timedelta(days=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a run renewed besides the timestamp."""

    bins: int
    snapshot: bool


def refresh_index(writer: IndexWriter, *, now: datetime) -> Refreshed:
    """Renew the timestamp, and bins and snapshot in the last third of their life.

    Raises:
        PortError: Nothing is lost; run it again.
        TrustError: The stored index or a key is not what it must be.
    """
    with writer.store.hold() as lease:
        opened = writer.open()
        index = opened.value
        _warn_owners(index, now)
        renewed = _renew_bins(writer, index, now)
        is_due = _is_due(index.snapshot.signed.expires, writer.expiries.snapshot, now)
        snapshot = index.timestamp.signed.snapshot_meta
        if renewed or is_due:
            snapshot = writer.write_snapshot(index, renewed, now=now)
        writer.make_visible(opened, snapshot, lease=lease, now=now)
    return Refreshed(bins=len(renewed), snapshot=_is_new(snapshot, index))


def _renew_bins(writer: IndexWriter, index: Index, now: datetime) -> dict[str, int]:
    due: list[tuple[datetime, str, Metadata[Targets]]] = []
    for name in index.bins:
        bin_ = writer.read_bin(index, name)
        if _is_due(bin_.signed.expires, writer.expiries.bins, now):
            due.append((bin_.signed.expires, name, bin_))
    due.sort(key=lambda each: each[:2])
    return {name: writer.write_bin(index, name, bin_, (), now=now) for _, name, bin_ in due[:BINS_PER_RUN]}


def _is_due(expires: datetime, lifetime: timedelta, now: datetime) -> bool:
    return expires - now < lifetime / 3


def _is_new(snapshot: MetaFile, index: Index) -> bool:
    return snapshot.version != index.timestamp.signed.snapshot_meta.version


def _warn_owners(index: Index, now: datetime) -> None:
    for role, expires in (("root", index.root.signed.expires), ("targets", index.targets.signed.expires)):
        if expires - now < OWNERS_WARNING:
            log.warning("the index's %s expires at %s; its owners must sign a new one", role, expires.isoformat())
