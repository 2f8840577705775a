"""What the service tells about reports on their way: whom they are about, and how late they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from shared.telemetry.execution import about
from shared.telemetry.signals import Signal, emit
from shared.wire.reports import ReportBatch
from shared.wire.twin_events import RawTwinEvent

log = logging.getLogger(__name__)


def tell_subject_of(batch: ReportBatch) -> ReportBatch:
    """The batch, after putting on the execution's span whom it is about."""
    about(campaign=batch.campaign, shard=batch.shard)
    if len(devices := {report.device for report in batch.reports}) == 1:
        about(device=devices.pop())
    return batch


def tell_lag(events: Sequence[RawTwinEvent], *, reports: int, now: datetime) -> None:
    """How long the oldest of the events lay in the event hub, after all were carried over."""
    waits_s = [(now - event.enqueued_at).total_seconds() for event in events if event.enqueued_at is not None]
    lag_s = round(max([0.0, *waits_s]), 1)
    message = f"relayed {reports} reports of {len(events)} twin changes, the oldest after {lag_s} s"
    emit(log, Signal.RELAYED, message, events=len(events), reports=reports, lag_s=lag_s)
