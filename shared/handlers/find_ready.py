"""Which devices of a batch lack an offer and may have it now, so that they need a time slot of the hub's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.campaigns import Campaign
from shared.domain.conflicts import is_waiting
from shared.domain.retries import may_begin
from shared.domain.rollouts import Rollout, RolloutState
from shared.handlers.mark_offers import leave_out
from shared.handlers.take_over import TakeOverPorts, look_at_waits
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.messages import BatchWork

S = RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Who of a batch needs a slot.

    Attributes:
        rows: Planned ones: further attempts whose time has come, devices that were waited for and are free, and those
            that went out with their batch and got no offer.
        unsent: How many are marked as offered, and their offer is not in their twin.
        has_waiting: Whether further ones wait for other campaigns.
        left_out: How many were ended, which a gate may care about.
    """

    rows: Sequence[Stored[Rollout]]
    unsent: int
    has_waiting: bool
    left_out: int

    @property
    def devices(self) -> int:
        """How many devices are charged."""
        return len(self.rows) + self.unsent


def find_ready(work: BatchWork, campaign: Campaign, ports: TakeOverPorts, *, by: datetime, now: datetime) -> Ready:
    """Look at the batch. Rows that are to have no offer after all are ended at once: they need no slot.

    Raises:
        ConcurrentChange: A row changed meanwhile; looking again is safe.
    """
    rows = ports.rollouts.read_batch(work.campaign, work.batch)
    wanted = [row for row in rows if may_have_slot(row.value, by=by)]
    ended = dict(leave_out(campaign, [row.value for row in wanted], ports.devices, now=now))
    left = [row for row in wanted if row.value.device not in ended]
    waiting = [row.value for row in left if is_waiting(row.value)]
    waits = look_at_waits(campaign, waiting, ports, now=now)
    ended |= waits.over
    changes = [RolloutChange(before=row, after=ended[row.value.device]) for row in rows if row.value.device in ended]
    if changes:
        ports.rollouts.write(work.campaign, work.batch.shard, changes)
    held = {row.device for row in waiting} - {row.device for row in waits.free}
    return Ready(
        rows=[row for row in left if row.value.device not in held],
        unsent=sum(row.value.state is S.OFFERED and row.value.sent_at is None for row in rows),
        has_waiting=len(held) > len(waits.over),
        left_out=len(changes),
    )


def may_have_slot(rollout: Rollout, *, by: datetime) -> bool:
    """Whether it is planned, and has no slot that is still to come."""
    return (rollout.state is S.PLANNED and rollout.retry_at is None) or may_begin(rollout, by=by)
