"""An operator wants the failed devices of a campaign tried again: a batch's turn has come.

The device is claimed before its row is opened again: a row that is open holds its device.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from shared.domain.campaigns import Campaign
from shared.domain.pacing import is_slot_held
from shared.domain.retries import RETRYABLE, open_attempt
from shared.domain.rollouts import Rollout
from shared.domain.starting import may_offer
from shared.domain.walks import BatchPurpose
from shared.domain.waves import WaveState
from shared.handlers.contention import until_written
from shared.handlers.give_slots import give_slots
from shared.handlers.offer_batch import DispatchPorts, name_of, offer_batch
from shared.handlers.renew_claims import renew_claims
from shared.handlers.wakeups import offers_in_turn
from shared.ports.rollouts import RolloutChange
from shared.wire.messages import BatchWork

log = logging.getLogger(__name__)


def retry_batch(work: BatchWork, campaign: Campaign, ports: DispatchPorts, *, now: datetime) -> None:
    """Open a new attempt for the batch's devices that failed or were silent, and offer the package to them: in the slot
    that their walk got for them, or, where that has lapsed, in one of their own.

    Devices that another campaign holds by now stay as they are.

    Raises:
        PortError: A service needed for it is down, or the rows change too fast; trying again is safe.
    """
    wave = campaign.waves[work.batch.wave - 1]
    if not may_offer(campaign, wave.number, now=now) or wave.state is WaveState.SKIPPED:
        log.info("%s is %s: the retries of a batch are dropped", campaign.id, campaign.state)
        return

    def attempt() -> None:
        rows = ports.rollouts.read_batch(work.campaign, work.batch)
        failed = [row for row in rows if row.value.state in RETRYABLE and _ended_in_time(row.value, work)]
        claims = renew_claims(campaign.id, [row.value for row in failed], ports.take_over_ports, now=now)
        changes = [
            RolloutChange(before=row, after=open_attempt(row.value, retry_at=now, now=now))
            for row in failed
            if row.value.device in claims.sequences
        ]
        ports.rollouts.write(work.campaign, work.batch.shard, changes)

    until_written(attempt, what=name_of(work))
    if is_slot_held(work.slot, now=now):
        offer_batch(offers_in_turn(campaign.id, work.batch, ready_by=now), campaign, ports, now=now)
    else:
        give_slots(replace(work, purpose=BatchPurpose.AGAIN), campaign, ports, now=now)


def _ended_in_time(rollout: Rollout, work: BatchWork) -> bool:
    """A message that comes twice must not try again what failed because of its first coming."""
    return work.slot_epoch_s is None or rollout.changed_at.timestamp() <= work.slot_epoch_s
