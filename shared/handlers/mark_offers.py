"""Marking the rows of a batch whose offers are about to leave: who is offered, who waits, who is left out after all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.campaign_specs import Deadlines
from shared.domain.campaigns import Campaign
from shared.domain.conflicts import held_by, is_waiting
from shared.domain.ids import DeviceId
from shared.domain.retries import cut_short, may_begin
from shared.domain.rollouts import Rollout, RolloutState, move
from shared.domain.variants import NO_PACKAGE, fits
from shared.handlers.quarantine_cohorts import hold_back
from shared.handlers.renew_claims import Claims, renew_claims
from shared.handlers.take_over import TakeOverPorts, take_over
from shared.ports.rollouts import DeviceStore, RolloutChange
from shared.ports.stored import Stored
from shared.wire.messages import BatchWork

S = RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A batch after marking.

    Attributes:
        rows: All its rows in ring order, as they stand now.
        left_out: How many were ended by it, which a gate may care about.
    """

    rows: Sequence[Stored[Rollout]]
    left_out: int

    @property
    def has_waiting(self) -> bool:
        """Whether some wait for other campaigns, and have no time slot."""
        return any(is_waiting(row.value) and row.value.retry_at is None for row in self.rows)

    @property
    def unsent(self) -> list[Rollout]:
        """Those whose offer is to be written."""
        return [row.value for row in self.rows if row.value.state is S.OFFERED and row.value.sent_at is None]


def mark_offers(work: BatchWork, campaign: Campaign, ports: TakeOverPorts, *, now: datetime) -> Marked:
    """Mark the rows as offered that are ours to offer and that the work is meant for, in one transaction.

    Raises:
        ConcurrentChange: A row changed meanwhile; marking again is safe.
    """
    rows = ports.rollouts.read_batch(work.campaign, work.batch)
    settled = _settle([row.value for row in rows], work, campaign, ports, now)
    ours = {rollout.device for rollout in settled if _is_meant(rollout, work) and not is_waiting(rollout)}
    again = [rollout for rollout in settled if rollout.device in ours and rollout.attempt > 1]
    claims = renew_claims(work.campaign, again, ports, now=now)
    deadlines = campaign.spec.deadlines
    after = [
        _offered(rollout, claims, deadlines, now) if rollout.device in ours else _given_back(rollout, work)
        for rollout in settled
    ]
    changes = [RolloutChange(before=row, after=new) for row, new in zip(rows, after, strict=True) if new != row.value]
    written = {row.value.device: row for row in ports.rollouts.write(work.campaign, work.batch.shard, changes)}
    return Marked(
        rows=[written.get(row.value.device, row) for row in rows],
        left_out=sum(change.after.is_final for change in changes),
    )


def _settle(
    rollouts: Sequence[Rollout], work: BatchWork, campaign: Campaign, ports: TakeOverPorts, now: datetime
) -> list[Rollout]:
    """The rows after unfit ones and cohorts were held back, and devices taken over that were waited for."""
    wanted = [rollout for rollout in rollouts if _is_meant(rollout, work)]
    held = leave_out(campaign, wanted, ports.devices, now=now)
    waiting = [rollout for rollout in wanted if is_waiting(rollout) and rollout.device not in held]
    taken = take_over(campaign, waiting, ports, now=now) if waiting else {}
    return [held.get(rollout.device) or taken.get(rollout.device) or rollout for rollout in rollouts]


def leave_out(
    campaign: Campaign, wanted: Sequence[Rollout], devices: DeviceStore, *, now: datetime
) -> Mapping[DeviceId, Rollout]:
    """Those of one batch's planned rows that are to have no offer after all: unfit ones, and cohorts that are held
    back. Not written yet."""
    unfit = {rollout.device: _unfit(rollout, now) for rollout in wanted if not fits(campaign.packages, rollout)}
    fitting = [rollout for rollout in wanted if rollout.device not in unfit]
    return {**unfit, **hold_back(campaign, fitting, devices, now=now)}


def _unfit(rollout: Rollout, now: datetime) -> Rollout:
    """The package was chosen at planning: by now its device said that it is something else, or somebody edited it."""
    detail = f"the package chosen for it is not for {rollout.hardware or 'it'}"
    return cut_short(rollout, S.SKIPPED, now=now, code=NO_PACKAGE, detail=detail)


def _is_meant(rollout: Rollout, work: BatchWork) -> bool:
    """Who goes out with the batch has its slot; who waited for another campaign, or tries again, has one of its own."""
    if rollout.state is not S.PLANNED:
        return False
    if work.ready_by is None:
        return rollout.retry_at is None
    # Others may have become ready since the slot was asked for: they are not charged yet.
    is_theirs = work.slot_epoch_s is None or rollout.retry_at == work.ready_by
    return is_theirs and may_begin(rollout, by=work.ready_by)


def _offered(rollout: Rollout, claims: Claims, deadlines: Deadlines, now: datetime) -> Rollout:
    """Offered; ended where a further attempt finds the device held by another campaign."""
    due_at = now + timedelta(seconds=deadlines.offered_s)
    offered = replace(move(rollout, S.OFFERED, now=now), due_at=due_at, retry_at=None)
    if rollout.attempt == 1:
        return offered
    if (holder := claims.holders.get(rollout.device)) is not None:
        return cut_short(rollout, S.SKIPPED, now=now, code=held_by(holder))
    return replace(offered, sequence=claims.sequences[rollout.device])


def _given_back(rollout: Rollout, work: BatchWork) -> Rollout:
    """A device that was to have this slot and is held once more waits on without one."""
    if is_waiting(rollout) and rollout.retry_at is not None and _is_meant(rollout, work):
        return replace(rollout, retry_at=None)
    return rollout
