"""The messages that wake campaigns and device batches, with ids that let duplicate detection drop repeats only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from shared.domain.ids import CampaignId
from shared.domain.rollouts import Rollout
from shared.domain.walks import BatchPurpose
from shared.domain.waves import DeviceBatch
from shared.ports.bus import OutgoingMessage
from shared.wire.messages import BatchVisit, BatchWork, CampaignStep, write_message

OFFER_AGAIN_S = 600
"""Offers presumed lost ask for slots at most this often for one batch; duplicate detection looks back as far."""

ATTEMPTS_TOGETHER = 16
"""Further attempts of a batch that begin within this part of their wait of each other ask for slots together."""

STOPPED_LOOK_S = 15
"""While the fleet is stopped, work that waits for it looks this often whether it still is."""


def utc_now() -> datetime:
    """The time, for ports that are given no other clock."""
    return datetime.now(UTC)


def request_step(campaign: CampaignId, step: int, *, enqueue_at: datetime | None = None) -> OutgoingMessage:
    """A message for ``campaign-steps``: take this step, now or at ``enqueue_at``."""
    return _step(CampaignStep(campaign=campaign, step=step), f"{campaign}:{step}", enqueue_at)


def request_step_again(campaign: CampaignId, step: int, *, now: datetime) -> OutgoingMessage:
    """A message for ``campaign-steps``: the step is overdue; its id is new every minute, so that it is not dropped."""
    return _step(CampaignStep(campaign=campaign, step=step), f"{campaign}:{step}:{int(now.timestamp()) // 60}", None)


def request_end(campaign: CampaignId, step: int, end: datetime) -> OutgoingMessage:
    """A message for ``campaign-steps``: its schedule has ended; ``step`` tells one beginning from another."""
    return _step(CampaignStep(campaign=campaign), f"{campaign}:{step}:end", end)


def request_evaluation(campaign: CampaignId, wave: int, now: datetime) -> OutgoingMessage:
    """A message for ``campaign-steps``: look whether the gate of a wave in which something changed has a word to say.

    All requests of one second and wave share an id and come out together when the second ends, so that a thousand
    folds cause one evaluation a second.

    Args:
        now: Read after the counters were written: a request that names an earlier second may be dropped as a repeat
            of one that has already been answered.
    """
    bucket = math.floor(now.timestamp()) + 1
    enqueue_at = datetime.fromtimestamp(bucket, UTC)
    return _step(CampaignStep(campaign=campaign, wave=wave), f"{campaign}:evaluate:w{wave}:{bucket}", enqueue_at)


def request_work(
    campaign: CampaignId, batch: DeviceBatch, purpose: BatchPurpose, step: int, *, enqueue_at: datetime
) -> OutgoingMessage:
    """A message for ``device-batches``: write the twins of this batch at ``enqueue_at``."""
    slot = math.ceil(enqueue_at.timestamp())
    body = write_message(BatchWork(campaign=campaign, batch=batch, purpose=purpose, step=step, slot_epoch_s=slot))
    return OutgoingMessage(body=body, message_id=f"{campaign}:{_place(batch)}:{step}", enqueue_at=enqueue_at)


def request_visit(campaign: CampaignId, batch: DeviceBatch, *, due: datetime) -> OutgoingMessage:
    """A message for ``batch-deadlines``: look at this batch once ``due`` has come, never before it."""
    epoch = math.ceil(due.timestamp())
    return OutgoingMessage(
        body=write_message(BatchVisit(campaign=campaign, batch=batch, due_epoch_s=epoch)),
        message_id=f"{campaign}:visit:{_place(batch)}:{epoch}",
        enqueue_at=datetime.fromtimestamp(epoch, UTC),
    )


def request_work_again(work: BatchWork, *, enqueue_at: datetime) -> OutgoingMessage:
    """A message for ``device-batches``: the same work later, for the devices that the hub had no room for.

    The time slot that it had is over: offers ask for slots anew, all else for its turn.
    """
    if work.purpose is BatchPurpose.OFFER:
        # Later than the message in hand also where this instance's clock is behind: it would be dropped as its repeat.
        epoch = max(math.ceil(enqueue_at.timestamp()), work.step + 1)
        return request_slots(work.campaign, work.batch, at_epoch_s=epoch, retry=work.retry + 1)
    again = replace(work, retry=work.retry + 1, slot_epoch_s=None)
    message_id = f"{work.campaign}:{_place(work.batch)}:{work.step}:{again.retry}"
    return OutgoingMessage(body=write_message(again), message_id=message_id, enqueue_at=enqueue_at)


def request_work_at(work: BatchWork, slot: datetime) -> OutgoingMessage:
    """A message for ``device-batches``: the same work in the time slot that it got."""
    epoch = math.ceil(slot.timestamp())
    message_id = f"{work.campaign}:{_place(work.batch)}:{work.step}:{work.retry}:at:{epoch}"
    return OutgoingMessage(
        body=write_message(replace(work, slot_epoch_s=epoch)),
        message_id=message_id,
        enqueue_at=datetime.fromtimestamp(epoch, UTC),
    )


def request_work_later(work: BatchWork, *, now: datetime, every_s: int = STOPPED_LOOK_S) -> OutgoingMessage:
    """A message for ``device-batches``: look again in a while, because the fleet is stopped or devices are held.

    Times lie on a grid and take the place of the step: however many messages for a batch are put off, one comes back,
    and it is not taken for a repeat of those that came before. Offers ask for slots then: theirs will have lapsed.
    """
    # Later than the message in hand also where this instance's clock is behind: it would be dropped as its repeat.
    epoch = (max(math.floor(now.timestamp()), work.step) // every_s + 1) * every_s
    if work.purpose in (BatchPurpose.OFFER, BatchPurpose.AGAIN):
        return request_slots(work.campaign, work.batch, at_epoch_s=epoch)
    return OutgoingMessage(
        body=write_message(replace(work, step=epoch)),
        message_id=f"{work.campaign}:{_place(work.batch)}:{epoch}",
        enqueue_at=datetime.fromtimestamp(epoch, UTC),
    )


def request_settlement(campaign: CampaignId, alone: DeviceBatch, *, due: datetime) -> OutgoingMessage:
    """A message for ``batch-deadlines``: look at this one device, whose ended row was put right.

    Its id holds the device, so that no visit of the whole batch is taken for a repeat of it.
    """
    visit = request_visit(campaign, alone, due=due)
    device = hashlib.sha256(alone.first.encode()).hexdigest()[:16]
    return replace(visit, message_id=f"{visit.message_id}:{device}")


def request_attempts(rollouts: Iterable[Rollout], shard: int) -> list[OutgoingMessage]:
    """Messages for ``device-batches``: give these rows of a shard their slots once their further attempts may begin.

    Devices of one batch that failed together ask together, whichever folds told of them: their times are drawn to a
    grid, and of messages with one batch and time duplicate detection leaves one.
    """
    messages = [
        request_slots(rollout.campaign, alone(rollout, shard), at_epoch_s=_begins_epoch_s(rollout, rollout.retry_at))
        for rollout in rollouts
        if rollout.retry_at is not None
    ]
    return list({message.message_id: message for message in messages}.values())


def request_slots(campaign: CampaignId, batch: DeviceBatch, *, at_epoch_s: int, retry: int = 0) -> OutgoingMessage:
    """A message for ``device-batches``: give the devices of a batch that lack an offer, and may have it, their slots.

    Args:
        batch: May be any part of the batch: who reads it finds the whole.
        retry: How often the hub had no room for them.
    """
    work = BatchWork(campaign=campaign, batch=batch, purpose=BatchPurpose.AGAIN, step=at_epoch_s, retry=retry)
    return OutgoingMessage(
        body=write_message(work),
        message_id=f"{campaign}:again:w{batch.wave}:s{batch.shard}:b{batch.number}:{at_epoch_s}",
        enqueue_at=datetime.fromtimestamp(at_epoch_s, UTC),
    )


def request_slots_again(campaign: CampaignId, batch: DeviceBatch, *, now: datetime) -> OutgoingMessage:
    """A message for ``device-batches``: give the batch's devices slots now, though that was asked before."""
    epoch = math.floor(now.timestamp())
    message = request_slots(campaign, batch, at_epoch_s=epoch)
    # Duplicate detection looks back as far as this, and the id of the message that was lost must not be taken.
    return replace(message, message_id=f"{message.message_id.rpartition(':')[0]}:lost:{epoch - epoch % OFFER_AGAIN_S}")


def request_turns_at(campaign: CampaignId, batch: DeviceBatch, slot: datetime, *, retry: int = 0) -> OutgoingMessage:
    """A message for ``device-batches``: the devices that were put off to this slot, a whole second, have it."""
    work = replace(offers_in_turn(campaign, batch, ready_by=slot), slot_epoch_s=int(slot.timestamp()), retry=retry)
    message_id = f"{campaign}:attempts:{_place(batch)}:{work.step}"
    return OutgoingMessage(body=write_message(work), message_id=message_id, enqueue_at=slot)


def offers_in_turn(campaign: CampaignId, batch: DeviceBatch, *, ready_by: datetime) -> BatchWork:
    """The work of offering to those devices of the batch that wait for their turn, and may begin by then."""
    epoch = math.ceil(ready_by.timestamp())
    return BatchWork(
        campaign=campaign,
        batch=batch,
        purpose=BatchPurpose.OFFER,
        step=epoch,
        ready_by_epoch_s=epoch,
    )


def _begins_epoch_s(rollout: Rollout, retry_at: datetime) -> int:
    wait_s = (retry_at - rollout.changed_at).total_seconds()
    grid_s = max(1, int(wait_s) // ATTEMPTS_TOGETHER)
    return math.ceil(retry_at.timestamp() / grid_s) * grid_s


def alone(rollout: Rollout, shard: int) -> DeviceBatch:
    """The part of the row's batch that is this one device."""
    device = rollout.device
    return DeviceBatch(wave=rollout.wave, shard=shard, number=rollout.batch, first=device, last=device, count=1)


def _step(message: CampaignStep, message_id: str, enqueue_at: datetime | None) -> OutgoingMessage:
    return OutgoingMessage(
        body=write_message(message), message_id=message_id, session_id=message.campaign, enqueue_at=enqueue_at
    )


def _place(batch: DeviceBatch) -> str:
    place = f"w{batch.wave}:s{batch.shard}:b{batch.number}"
    if batch.count > 1:
        return place
    return f"{place}:{hashlib.sha256(batch.first.encode()).hexdigest()[:16]}"
