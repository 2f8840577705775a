"""Devices that do not get their offer in their batch's slot get one of their own, from the hub's budget and the
campaign's pace: further attempts, devices that were waited for, and offers that were lost, thrown back or held up.

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
from shared.domain.rollouts import Rollout
from shared.domain.waves import DeviceBatch
from shared.handlers.contention import until_written
from shared.handlers.find_ready import Ready, find_ready, may_have_slot
from shared.handlers.offer_batch import DispatchPorts, is_its_time, name_of, offer_batch
from shared.handlers.offer_loads import load_of, look_again_at, paced_by
from shared.handlers.reserve_slots import Reservation, reserve_slots
from shared.handlers.take_over import look_again_s
from shared.handlers.wakeups import (
    offers_in_turn,
    request_evaluation,
    request_slots,
    request_turns_at,
    request_work_later,
)
from shared.ports.bus import Queue
from shared.ports.campaigns import ManifestStore
from shared.ports.errors import NotThere
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.messages import BatchWork

LOOK_GRID_S = 5
"""Two messages for one batch that look again within so many seconds become one."""


def give_slots(work: BatchWork, campaign: Campaign, ports: DispatchPorts, *, now: datetime) -> None:
    """Offer to the batch's devices that lack an offer and may have it, now or at the slot that they get.

    Raises:
        PortError: A service needed for it is down, or rows change too fast; giving slots again is safe.
    """
    work = replace(work, batch=_whole(work, ports.manifests))
    if not is_its_time(work, campaign, ports, now=now):
        return
    # The message may come before its time by this instance's clock.
    by = max(now, datetime.fromtimestamp(work.step, UTC))
    ready = until_written(lambda: find_ready(work, campaign, ports.take_over_ports, by=by, now=now), what=name_of(work))
    _tell(ready, work, campaign, ports, now)
    if not ready.devices:
        return
    reservation = _reserve(work.batch, ready.devices, campaign, ports, now)
    if not reservation.slots:
        _ask_again(work, look_again_at(campaign, reservation, now=now), ports)
        return
    [(_, begins)] = reservation.slots
    if begins <= now:
        turn = replace(offers_in_turn(campaign.id, work.batch, ready_by=by), retry=work.retry)
        # Not to a later moment than now: a message that comes back at once must find them.
        _put_off([row for row in ready.rows if row.value.retry_at is None], by, work, ports, by)
        offer_batch(turn, campaign, ports, now=now)
        return
    slot = datetime.fromtimestamp(math.ceil(begins.timestamp()), UTC)
    message = request_turns_at(campaign.id, work.batch, slot, retry=work.retry)
    ports.sender.send(Queue.DEVICE_BATCHES, [message])
    _put_off(ready.rows, slot, work, ports, by)


def _tell(ready: Ready, work: BatchWork, campaign: Campaign, ports: DispatchPorts, now: datetime) -> None:
    """A gate may care about rows that ended, and the devices that are still held are looked at again."""
    if ready.left_out:
        ports.sender.send(Queue.CAMPAIGN_STEPS, [request_evaluation(campaign.id, work.batch.wave, ports.clock())])
    if ready.has_waiting:
        again_s = look_again_s(campaign, work.batch.wave, now=now)
        ports.sender.send(Queue.DEVICE_BATCHES, [request_work_later(work, now=now, every_s=again_s)])


def _ask_again(work: BatchWork, at: datetime, ports: DispatchPorts) -> None:
    """Later than the message in hand also where this instance's clock is behind: it would be dropped as its repeat."""
    epoch = max(math.ceil(at.timestamp() / LOOK_GRID_S) * LOOK_GRID_S, work.step + 1)
    again = request_slots(work.campaign, work.batch, at_epoch_s=epoch, retry=work.retry)
    ports.sender.send(Queue.DEVICE_BATCHES, [again])


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
    if not ready:
        return
    known = [ready]
    devices = {row.value.device for row in ready}

    def attempt() -> None:
        current = known.pop() if known else ports.rollouts.read_batch(work.campaign, work.batch)
        changes = [
            RolloutChange(before=row, after=replace(row.value, retry_at=slot))
            for row in current
            if row.value.device in devices and may_have_slot(row.value, by=by)
        ]
        ports.rollouts.write(work.campaign, work.batch.shard, changes)

    until_written(attempt, what=name_of(work))
