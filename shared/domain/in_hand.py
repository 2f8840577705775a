"""Whether somebody may be about to write a device's twin for the campaign that holds it.

Whoever writes a twin has read the device's row before. A row can be taken by another campaign once nobody can have read
it in a state in which its twin is written: an older write that came after the newer offer would replace it or clear it,
and the device would never hear of it. Until then the device is waited for. Each such wait ends: an offer is stamped, or
written again after the next visit; a withdrawal cancels the row; where nothing more is offered, the last function that
may have had the row in hand is ended by its time limit; and the row has a deadline of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.domain.campaigns import OFFERING, Campaign, CampaignState
from shared.domain.rollouts import BEGUN, Rollout, RolloutState
from shared.domain.waves import WaveState

IN_HAND_FOR = timedelta(minutes=15)
"""No function has a row in hand for longer: none lives longer than ten minutes (``functionTimeout`` of host.json)."""

S, C = RolloutState, CampaignState

_GIVEN_UP = frozenset({C.ABORTED, C.REVERTING, C.REVERTED})


def is_in_hand(holder: Campaign, held: Rollout, *, now: datetime) -> bool:
    """Whether the twin of an open row of the holder may be written for it from now on."""
    if not may_hold_offer(held):
        # Who marks it as offered comes before us or not at all.
        return False
    if holder.state in _GIVEN_UP or holder.goes_back:
        return _may_be_withdrawn(holder, held, now)
    return _may_be_offered(holder, held, now)


def may_hold_offer(rollout: Rollout) -> bool:
    """Whether the device's twin may hold an offer of this open row."""
    return rollout.state is not S.PLANNED or rollout.attempt > 1


def _may_be_withdrawn(holder: Campaign, held: Rollout, now: datetime) -> bool:
    """Devices that have begun may finish where it was given up softly, unless somebody read the row before they did."""
    if holder.is_forced or held.state not in BEGUN:
        return True
    return now - held.changed_at < IN_HAND_FOR


def _may_be_offered(holder: Campaign, held: Rollout, now: datetime) -> bool:
    if held.state is S.PLANNED or held.sent_at is not None:
        return False
    if held.state is not S.OFFERED:
        return now - held.changed_at < IN_HAND_FOR
    closed_at = min(_closings(holder, held, now), default=None)
    return closed_at is None or now - closed_at < IN_HAND_FOR


def _closings(holder: Campaign, held: Rollout, now: datetime) -> Iterator[datetime]:
    """Since when nobody takes the row in hand any more, for each reason there is."""
    if holder.state not in OFFERING:
        yield holder.in_state_since
    if (end := holder.end_of_offers) is not None and end <= now:
        yield end
    for wave in holder.waves:
        if wave.number == held.wave and wave.state is WaveState.SKIPPED:
            yield wave.ended_at or holder.changed_at
