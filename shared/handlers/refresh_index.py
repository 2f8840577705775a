"""Keep the index from expiring: every day a new timestamp, and new signatures for what nears its end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched

from tuf.api.metadata import Metadata, Targets

from shared.handlers.index_writing import IndexWriter, add_packages
from shared.trust.index import Index

log = logging.getLogger(__name__)

SHARES = 8
"""Runs in which every bin is looked at once: a third of a bin's life holds three such rounds and more."""

BINS_PER_LEASE = 32
"""Bins renewed under one lease: some 70 calls, seconds of the 60 that it lasts without being renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a run renewed besides the timestamp."""

    bins: int
    snapshot: bool


def refresh_index(writer: IndexWriter, *, now: datetime) -> Refreshed:
    """Renew the timestamp, the snapshot in the last third of its life, and such bins among those whose turn it is.

    The timestamp comes first and by itself, for it is the first to expire; bins are read without the lease.

    Raises:
        PortError: Nothing is lost; run it again.
        TrustError: The stored index or a key is not what it must be.
    """
    index, has_snapshot = _renew_top(writer, now)
    due = [name for name in _turn(writer, index, now) if _is_bin_due(writer, writer.read_bin(index, name), now)]
    bins = sum(_renew_bins(writer, list(names), now) for names in batched(due, BINS_PER_LEASE))
    return Refreshed(bins=bins, snapshot=has_snapshot or bins > 0)


def _renew_top(writer: IndexWriter, now: datetime) -> tuple[Index, bool]:
    """Renew timestamp and snapshot; the index as it was, and whether its snapshot was renewed."""
    with writer.store.hold() as lease:
        opened = writer.open()
        index = opened.value
        is_due = _is_due(index.snapshot.signed.expires, writer.expiries.snapshot, now)
        snapshot = writer.write_snapshot(index, {}, now=now) if is_due else index.timestamp.signed.snapshot_meta
        writer.make_visible(opened, snapshot, lease=lease, now=now)
    return index, is_due


def _turn(writer: IndexWriter, index: Index, now: datetime) -> list[str]:
    """The bins to look at in this run; all of them where they do not live long enough for taking turns."""
    every = writer.expiries.refresh_every
    shares = max(1, min(SHARES, writer.expiries.bins // 3 // every))
    run = int(now.timestamp() // every.total_seconds())
    return [name for number, name in enumerate(index.bins) if number % shares == run % shares]


def _renew_bins(writer: IndexWriter, names: Sequence[str], now: datetime) -> int:
    """Sign those of the bins anew that nobody else has signed meanwhile; how many."""
    with writer.store.hold() as lease:
        opened = writer.open()
        bins = {name: writer.read_bin(opened.value, name) for name in names}
        renewed = {
            name: writer.write_bin(opened.value, add_packages(name, bin_, ()), now=now)
            for name, bin_ in bins.items()
            if _is_bin_due(writer, bin_, now)
        }
        if renewed:
            snapshot = writer.write_snapshot(opened.value, renewed, now=now)
            writer.make_visible(opened, snapshot, lease=lease, now=now)
    return len(renewed)


def _is_bin_due(writer: IndexWriter, bin_: Metadata[Targets], now: datetime) -> bool:
    return _is_due(bin_.signed.expires, writer.expiries.bins, now)


def _is_due(expires: datetime, lifetime: timedelta, now: datetime) -> bool:
    return expires - now < lifetime / 3
