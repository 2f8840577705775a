"""Giving a campaign up: what becomes of it and its waves, whoever ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.campaigns import Campaign, CampaignState, Withdrawal
from shared.domain.waves import DONE_WAVES, Wave, WaveState


def give_up(campaign: Campaign, reason: str, *, now: datetime) -> Campaign:
    """The campaign aborted, about to take back its offers; what is done is kept."""
    return replace(
        campaign,
        state=CampaignState.ABORTED,
        reason=reason,
        waves=tuple(_given_up(wave, reason, now) for wave in campaign.waves),
        withdrawal=Withdrawal() if campaign.waves else None,
    )


def _given_up(wave: Wave, reason: str, now: datetime) -> Wave:
    if wave.state in DONE_WAVES or wave.state is WaveState.FAILED:
        return wave
    state = WaveState.SKIPPED if wave.state is WaveState.PENDING else WaveState.FAILED
    return replace(wave, state=state, reason=reason, ended_at=now, soak_until=None)
