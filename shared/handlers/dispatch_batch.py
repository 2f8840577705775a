"""A device batch has its time slot, or asks for one: do what it is dispatched for."""

from __future__ import annotations

import logging
from datetime import datetime

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.pacing import is_slot_held
from shared.domain.walks import BatchPurpose
from shared.handlers.give_slots import give_slots
from shared.handlers.offer_batch import DispatchPorts, offer_batch
from shared.handlers.retry_batch import retry_batch
from shared.handlers.skip_batch import skip_batch
from shared.handlers.wakeups import request_work_later
from shared.handlers.withdraw_batch import withdraw_batch
from shared.ports.bus import Queue
from shared.ports.errors import NotThere
from shared.wire.messages import BatchWork

log = logging.getLogger(__name__)

LOOKS_S = 60, 120, 300, 600
"""How often work that waits for a resume looks. Few and round, so that what waits for one batch comes together."""


def dispatch_batch(work: BatchWork, ports: DispatchPorts, *, now: datetime) -> None:
    """Do what the batch is dispatched for; work for a campaign that is not there is dropped.

    Raises:
        PortError: A service needed for it is down, or the rows change too fast; dispatching again is safe.
    """
    try:
        campaign = ports.campaigns.get(work.campaign).value
    except NotThere:
        log.warning("work for the unknown campaign %s is dropped", work.campaign)
        return
    if campaign.state is CampaignState.PAUSED and _outlasts_a_pause(work):
        later = request_work_later(work, now=now, every_s=_look_again_s(campaign, now))
        ports.sender.send(Queue.DEVICE_BATCHES, [later])
        return
    match work.purpose:
        case BatchPurpose.OFFER if is_slot_held(work.slot, now=now):
            offer_batch(work, campaign, ports, now=now)
        case BatchPurpose.WITHDRAW | BatchPurpose.RECALL:
            withdraw_batch(work, ports, now=now)
        case BatchPurpose.SKIP:
            skip_batch(work, ports, now=now)
        case BatchPurpose.RETRY:
            retry_batch(work, campaign, ports, now=now)
        case BatchPurpose.OFFER | BatchPurpose.AGAIN:
            give_slots(work, campaign, ports, now=now)


def _outlasts_a_pause(work: BatchWork) -> bool:
    """Whether nobody asks for the work once more when its campaign is resumed, as for the offers of a wave."""
    return work.purpose in (BatchPurpose.RETRY, BatchPurpose.AGAIN) or work.ready_by is not None


def _look_again_s(campaign: Campaign, now: datetime) -> int:
    """About an eighth of the pause so far, so that campaigns that rest for days cost little."""
    paused_s = (now - campaign.in_state_since).total_seconds()
    return max((look_s for look_s in LOOKS_S if look_s <= paused_s / 8), default=LOOKS_S[0])
