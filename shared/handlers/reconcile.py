"""Reconciling: rows that have been quiet for long are compared with their twins, within a read budget (invariant I7).

What events lost is still in the twin. It makes no difference what state the campaign is in: devices go on with what
they have begun while it is paused, waits, or has ended. Each run begins elsewhere on the ring, and with another
campaign, so that devices that are offline for weeks do not use up every run's budget.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from shared.domain.errors import MalformedMessage
from shared.domain.ids import RING_SIZE, CampaignId, DeviceId, ring_position
from shared.domain.rollouts import Report
from shared.handlers.fold_reports import FoldPorts, fold_reports
from shared.handlers.unreadable_rows import unless_unreadable
from shared.ports.campaigns import CampaignStore
from shared.ports.hub import TwinReader
from shared.telemetry.signals import Signal, emit
from shared.wire.reports import ReportBatch
from shared.wire.twins import PROPERTY, is_whole_report, read_mark, read_report

log = logging.getLogger(__name__)

QUIET_S = 1800.0
"""A row that did not change for this long is worth a twin read."""

MAX_READS = 500
"""Twin reads per run: an S1 hub allows 100 a second for everybody (IoT Hub quotas and throttling)."""

_BATCH = 99
_PAGE = 200
_GOLDEN_STEP = 2654435761
"""2**32 divided by the golden ratio: successive multiples of it spread evenly over the ring (Knuth, TAOCP 6.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilePorts:
    """What a run needs from outside."""

    campaigns: CampaignStore
    twins: TwinReader
    fold: FoldPorts


def reconcile(ports: ReconcilePorts, *, now: datetime, max_reads: int = MAX_READS, quiet_s: float = QUIET_S) -> int:
    """Read the twins of quiet rows of all campaigns that have open ones, and fold what they report.

    Returns:
        How many rows changed.

    Raises:
        PortError: A service needed for it is down; what was folded stays folded.
    """
    before = now - timedelta(seconds=quiet_s)
    left, changed = max_reads, 0
    arcs = _arcs_in_turn(ports, now, max_reads)
    # Round by round, in equal shares; what a campaign does not need is for the others.
    while arcs and left > 0:
        share = max(1, min(_BATCH, left // len(arcs)))
        for arc in [arcs.popleft() for _ in range(min(len(arcs), left))]:
            devices: list[DeviceId] = unless_unreadable(partial(_read_quiet, arc, ports, before, min(share, left)), [])
            left -= len(devices)
            changed += unless_unreadable(partial(_fold_twins, arc, devices, ports), 0)
            if devices:
                arcs.append(arc.beyond(devices))
    reads = max_reads - left
    message = f"reconciled with {reads} twin reads, {changed} rows changed"
    emit(log, Signal.RECONCILED, message, reads=reads, differences=changed)
    return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arc:
    """What is left to look at of one shard of a campaign: ``length`` positions of the ring from ``start`` on."""

    campaign: CampaignId
    shard: int
    start: int
    length: int = RING_SIZE

    def offset(self, device: DeviceId) -> int:
        """How far into the arc the device stands."""
        return (ring_position(device) - self.start) % RING_SIZE

    def beyond(self, devices: Sequence[DeviceId]) -> _Arc:
        """What is left behind these devices."""
        step = max(map(self.offset, devices)) + 1
        return replace(self, start=(self.start + step) % RING_SIZE, length=self.length - step)


def _arcs_in_turn(ports: ReconcilePorts, now: datetime, max_reads: int) -> deque[_Arc]:
    """Where there are more than reads, each run goes on behind the last that the one before it reached."""
    hour = int(now.timestamp()) // 3600
    start = hour * _GOLDEN_STEP % RING_SIZE
    arcs = deque(_Arc(campaign=campaign, shard=shard, start=start) for campaign, shard in _open_shards(ports))
    if arcs:
        arcs.rotate(-(hour * max_reads % len(arcs)))
    return arcs


def _read_quiet(arc: _Arc, ports: ReconcilePorts, before: datetime, limit: int) -> list[DeviceId]:
    """The next quiet devices of the arc; none once the ring has been gone round."""
    if arc.length <= 0:
        return []
    read = ports.fold.rollouts.read_stale
    rows = read(arc.campaign, arc.shard, before=before, start=arc.start, limit=limit)
    return [row.value.device for row in rows if arc.offset(row.value.device) < arc.length]


def _fold_twins(arc: _Arc, devices: Sequence[DeviceId], ports: ReconcilePorts) -> int:
    """Fold what the devices' twins report about the campaign; how many rows changed."""
    reports = [report for device in devices if (report := _read_twin(device, ports.twins)) is not None]
    current = tuple(report for report in reports if report.campaign == arc.campaign)
    if not current:
        return 0
    return fold_reports(ReportBatch(campaign=arc.campaign, shard=arc.shard, reports=current), ports.fold)


def _open_shards(ports: ReconcilePorts) -> Iterator[tuple[CampaignId, int]]:
    """The shards with open rows of all campaigns whose rows are in the table; the counters say so, at one read each."""
    continuation = ""
    while True:
        page = ports.campaigns.list_page(size=_PAGE, continuation=continuation)
        for campaign in page.items:
            if campaign.archive is None:
                count = partial(ports.fold.rollouts.count_open, campaign.id)
                shards = (shard for shard in range(campaign.shards) if unless_unreadable(partial(count, shard), 0))
                yield from ((campaign.id, shard) for shard in shards)
        if not (continuation := page.continuation):
            return


def _read_twin(device: DeviceId, twins: TwinReader) -> Report | None:
    reported = twins.read_reported(device)
    if reported is None or not is_whole_report(reported.get(PROPERTY)):
        return None
    try:
        return read_report(device, reported[PROPERTY], read_mark(reported))
    except MalformedMessage as error:
        log.warning("a twin's report cannot be read: %s", error)
        return None
