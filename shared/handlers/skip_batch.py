"""A wave was skipped: the devices of a batch that have no offer are left out; the others go on."""

from __future__ import annotations

from datetime import datetime

from shared.domain.retries import cut_short
from shared.domain.rollouts import RolloutState
from shared.handlers.contention import until_written
from shared.handlers.offer_batch import DispatchPorts, name_of
from shared.ports.rollouts import RolloutChange
from shared.wire.messages import BatchWork


def skip_batch(work: BatchWork, ports: DispatchPorts, *, now: datetime) -> None:
    """Skip the planned rows of the batch.

    Raises:
        PortError: The store is down, or the rows change too fast; skipping again is safe.
    """

    def attempt() -> None:
        changes = [
            RolloutChange(before=row, after=cut_short(row.value, RolloutState.SKIPPED, now=now, code="wave_skipped"))
            for row in ports.rollouts.read_batch(work.campaign, work.batch)
            if row.value.state is RolloutState.PLANNED
        ]
        ports.rollouts.write(work.campaign, work.batch.shard, changes)

    until_written(attempt, what=name_of(work))
