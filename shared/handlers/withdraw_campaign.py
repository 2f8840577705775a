"""Taking back the offers of a cancelled campaign, wave by wave, within the hub's budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign, Withdrawal
from shared.domain.rollouts import FINAL
from shared.domain.steps import Change
from shared.domain.waves import Wave
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.reserve_slots import reserve_slots
from shared.handlers.wakeups import request_visit
from shared.ports.bus import Queue
from shared.wire.messages import BatchPurpose

SETTLE_AFTER_S = 60.0
"""A batch is visited this long after its withdrawal: the visit finds the rows cancelled and frees the devices."""


def withdraw_batches(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with more withdrawals on the queue; waves without an open row are passed over."""
    cursor = campaign.withdrawal or Withdrawal()
    if cursor.wave > len(campaign.waves):
        return Change(campaign=replace(campaign, withdrawal=None), due_at=now)
    wave = campaign.waves[cursor.wave - 1]
    batches = ports.manifests.read_batches(campaign.id, wave.number)[cursor.batches :]
    if not batches or not _has_open_rows(campaign, wave, ports):
        return Change(campaign=replace(campaign, withdrawal=Withdrawal(wave=cursor.wave + 1)), due_at=now)
    reservation = reserve_slots(ports.budget, batches, now=now)
    if reservation.slots:
        work = list(reservation.work(campaign.id, BatchPurpose.WITHDRAW, campaign.step))
        settle = timedelta(seconds=SETTLE_AFTER_S)
        visits = [request_visit(campaign.id, batch, due=at + settle) for batch, at in reservation.slots]
        ports.sender.send(Queue.DEVICE_BATCHES, work)
        ports.sender.send(Queue.BATCH_DEADLINES, visits)
    cursor = replace(cursor, batches=cursor.batches + len(reservation.slots))
    all_out = len(reservation.slots) == len(batches)
    due_at = now if all_out else reservation.look_again_at
    return Change(campaign=replace(campaign, withdrawal=cursor), due_at=due_at)


def _has_open_rows(campaign: Campaign, wave: Wave, ports: CampaignPorts) -> bool:
    counters = ports.rollouts.read_counters(campaign.id, wave.number, campaign.shards)
    return counters.total > counters.of(*FINAL)
