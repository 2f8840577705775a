"""Dispatching a wave: its batches go to the queue, each at the time the hub's budget gives it."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.campaigns import Campaign
from shared.domain.errors import Conflict
from shared.domain.steps import Change, note_dispatched
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.reserve_slots import Reservation, reserve_slots
from shared.handlers.wakeups import request_visit
from shared.ports.bus import Queue
from shared.wire.messages import BatchPurpose


def dispatch_wave(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with more of its wave's batches on the queue, as many as the budget gives slots for."""
    if (wave := campaign.wave_in_hand) is None:
        raise Conflict(f"{campaign.id} has no wave to dispatch")
    batches = ports.manifests.read_batches(campaign.id, wave.number)[wave.dispatched :]
    if not batches:
        return Change(campaign=note_dispatched(campaign, wave.dispatched), due_at=now)
    reservation = reserve_slots(ports.budget, batches, now=now)
    _send(campaign, reservation, ports)
    dispatched = wave.dispatched + len(reservation.slots)
    all_out = dispatched >= wave.batches
    return Change(campaign=note_dispatched(campaign, dispatched), due_at=now if all_out else reservation.look_again_at)


def _send(campaign: Campaign, reservation: Reservation, ports: CampaignPorts) -> None:
    """A batch is first visited when a deadline may have passed; the visit then says when the next one may."""
    if not reservation.slots:
        return
    patience = timedelta(seconds=campaign.spec.deadlines.shortest_s)
    visits = [request_visit(campaign.id, batch, due=at + patience) for batch, at in reservation.slots]
    ports.sender.send(Queue.BATCH_DEADLINES, visits)
    ports.sender.send(Queue.DEVICE_BATCHES, list(reservation.work(campaign.id, BatchPurpose.OFFER, campaign.step)))
