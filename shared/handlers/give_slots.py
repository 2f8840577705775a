"""Further attempts by policy get their slots from the hub's budget and the campaign's pace, as first ones do.

A slot that begins now is used at once. For a later one the message for it is sent first, and the rows are put off to
it then: a death between the two has both done once more, with another slot, and the first message finds that the rows
may not begin yet. Whatever is lost, a visit of the batch finds rows whose time has long come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from shared.domain.campaigns import Campaign
from shared.domain.retries import may_begin
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.waves import DeviceBatch
from shared.handlers.contention import until_written
from shared.handlers.offer_batch import DispatchPorts, is_its_time, name_of, offer_batch
from shared.handlers.offer_loads import load_of, look_again_at, paced_by
from shared.handlers.reserve_slots import Reservation, reserve_slots
from shared.handlers.wakeups import further_attempts, request_attempts_at, request_slots
from shared.ports.bus import Queue
from shared.ports.campaigns import ManifestStore
from shared.ports.errors import NotThere
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.messages import BatchWork

LOOK_GRID_S = 5
"""Two messages for one batch that look again within so many seconds become one."""


def give_slots(work: BatchWork, campaign: Campaign, ports: DispatchPorts, *, now: datetime) -> None:
    """Offer the batch's further attempts whose time has come, now or at the slot that they get.

    Raises:
        PortError: A service needed for it is down, or rows change too fast; giving slots again is safe.
    """
    work = replace(work, batch=_whole(work, ports.manifests))
    if not is_its_time(work, campaign, ports, now=now):
        return
    # The message may come before its time by this instance's clock.
    by = max(now, datetime.fromtimestamp(work.step, UTC))
    rows = ports.rollouts.read_batch(work.campaign, work.batch)
    ready = [row for row in rows if may_begin(row.value, by=by)]
    if not ready:
        if any(_is_half_offered(row.value) for row in rows):
            offer_batch(further_attempts(campaign.id, work.batch, ready_by=by), campaign, ports, now=now)
        return
    reservation = _reserve(work.batch, len(ready), campaign, ports, now)
    if not reservation.slots:
        look_at = look_again_at(campaign, reservation, now=now)
        # Later than this message also where this instance's clock is behind: it would be dropped as its repeat.
        again = request_slots(campaign.id, work.batch, at_epoch_s=max(_on_grid(look_at), work.step + 1))
        ports.sender.send(Queue.DEVICE_BATCHES, [again])
        return
    [(_, begins)] = reservation.slots
    if begins <= now:
        offer_batch(further_attempts(campaign.id, work.batch, ready_by=by), campaign, ports, now=now)
        return
    slot = datetime.fromtimestamp(math.ceil(begins.timestamp()), UTC)
    ports.sender.send(Queue.DEVICE_BATCHES, [request_attempts_at(campaign.id, work.batch, slot)])
    _put_off(ready, slot, work, ports, by)


def _whole(work: BatchWork, manifests: ManifestStore) -> DeviceBatch:
    """The batch of which the message may name one device only: who asks knows no more than a row."""
    part = work.batch
    if part.count > 1:
        return part
    try:
        batches = manifests.read_batches(work.campaign, part.wave)
    except NotThere:
        return part
    return next((each for each in batches if (each.shard, each.number) == (part.shard, part.number)), part)


def _is_half_offered(rollout: Rollout) -> bool:
    """Whether its slot was used by somebody who died, or whom the hub threw back, before its offer was written."""
    return rollout.state is RolloutState.OFFERED and rollout.sent_at is None and rollout.attempt > 1


def _reserve(batch: DeviceBatch, size: int, campaign: Campaign, ports: DispatchPorts, now: datetime) -> Reservation:
    """A slot for so many devices. A pace of the campaign's own is kept in its row, which steps write too."""
    if not campaign.spec.pace.is_bounded:
        load = load_of(campaign, ports.rollouts)
        return reserve_slots(ports.budget, [batch], now=now, load=load, sizes=[size])

    def attempt() -> Reservation:
        stored = ports.campaigns.get(campaign.id)
        load = load_of(stored.value, ports.rollouts)
        reservation = reserve_slots(ports.budget, [batch], now=now, load=load, sizes=[size])
        if reservation.slots:
            ports.campaigns.save(Stored(value=paced_by(stored.value, reservation, [size]), etag=stored.etag))
        return reservation

    return until_written(attempt, what=campaign.id)


def _put_off(
    ready: Sequence[Stored[Rollout]], slot: datetime, work: BatchWork, ports: DispatchPorts, by: datetime
) -> None:
    """Have the rows wait for their slot, so that no second message asks for one."""
    known = [ready]
    devices = {row.value.device for row in ready}

    def attempt() -> None:
        current = known.pop() if known else ports.rollouts.read_batch(work.campaign, work.batch)
        changes = [
            RolloutChange(before=row, after=replace(row.value, retry_at=slot))
            for row in current
            if row.value.device in devices and may_begin(row.value, by=by)
        ]
        ports.rollouts.write(work.campaign, work.batch.shard, changes)

    until_written(attempt, what=name_of(work))


def _on_grid(moment: datetime) -> int:
    return math.ceil(moment.timestamp() / LOOK_GRID_S) * LOOK_GRID_S
