"""A device batch has its time slot: do what it is dispatched for."""

from __future__ import annotations

import logging
from datetime import datetime

from shared.domain.walks import BatchPurpose
from shared.handlers.offer_batch import DispatchPorts, offer_batch
from shared.handlers.retry_batch import retry_batch
from shared.handlers.skip_batch import skip_batch
from shared.handlers.withdraw_batch import withdraw_batch
from shared.ports.errors import NotThere
from shared.wire.messages import BatchWork

log = logging.getLogger(__name__)


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
    match work.purpose:
        case BatchPurpose.OFFER:
            offer_batch(work, campaign, ports, now=now)
        case BatchPurpose.WITHDRAW | BatchPurpose.RECALL:
            withdraw_batch(work, ports, now=now)
        case BatchPurpose.SKIP:
            skip_batch(work, ports, now=now)
        case BatchPurpose.RETRY:
            retry_batch(work, campaign, ports, now=now)
