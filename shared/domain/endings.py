"""Giving a campaign up: what becomes of it and its waves, whoever ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.waves import DONE_WAVES, Wave, WaveState


def give_up(campaign: Campaign, reason: str, *, now: datetime, forced: bool = False) -> Campaign:
    """The campaign aborted, about to take back its offers; what is done is kept.

    Args:
        forced: Whether devices that have begun are cancelled too; otherwise they may finish.
    """
    purpose = BatchPurpose.WITHDRAW if forced else BatchPurpose.RECALL
    walk = Walk(purpose=purpose, last_wave=len(campaign.waves))
    return replace(
        campaign,
        state=CampaignState.ABORTED,
        reason=reason,
        waves=tuple(_given_up(wave, reason, now) for wave in campaign.waves),
        walks=(walk,) if campaign.waves else (),
        is_forced=forced,
    )


def _given_up(wave: Wave, reason: str, now: datetime) -> Wave:
    if wave.state in DONE_WAVES or wave.state is WaveState.FAILED:
        return wave
    state = WaveState.SKIPPED if wave.state is WaveState.PENDING else WaveState.FAILED
    return replace(wave, state=state, reason=reason, ended_at=now, soak_until=None)
