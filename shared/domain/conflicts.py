"""Two campaigns over one device: who may have it, who waits, and who takes it from whom.

A device has one holder. A campaign that finds it held skips it, waits for it, or takes it from a campaign of lower
priority. Whether it may is asked when its offer is about to go out, not when it is planned: until then the holder goes
on, and may long have ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.ids import CampaignId
from shared.domain.rollouts import Rollout, RolloutState

DEFAULT_PRIORITY = 500
MAX_PRIORITY = 1000

S = RolloutState

SUPERSEDABLE = frozenset({S.PLANNED, S.OFFERED, S.DOWNLOADING, S.DOWNLOADED})
"""A device that installs or restarts is past turning back."""

_WAITS_FOR = "waits_for:"


class OnConflict(StrEnum):
    """What becomes of a device that another campaign holds."""

    SKIP = "skip"
    WAIT = "wait"
    SUPERSEDE = "supersede"


@dataclass(frozen=True, slots=True, kw_only=True)
class Precedence:
    """What a campaign is worth against others.

    Attributes:
        priority: 0-1000; higher ones get the hub's slots first, and may take devices from lower ones.
    """

    priority: int = DEFAULT_PRIORITY
    on_conflict: OnConflict = OnConflict.SKIP


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A campaign as far as conflicts go."""

    id: CampaignId
    created_at: datetime
    precedence: Precedence

    def is_older_than(self, other: Contender) -> bool:
        """Whether it was posted before the other; every two campaigns agree on it."""
        return (self.created_at, self.id) < (other.created_at, other.id)


class Settlement(StrEnum):
    """What a campaign does about a device that another one holds."""

    SUPERSEDE = "supersede"
    WAIT = "wait"
    SKIP = "skip"


def settle_conflict(
    ours: Contender, holder: Contender, held: Rollout | None, *, in_hand: bool, now: datetime, gives_up_at: datetime
) -> Settlement:
    """What we do about a device whose open row in the holder is ``held``; None while the holder has not written it.

    A row that was offered, or that tries again, ends by its deadlines. One that is only planned ends when the holder's
    gates allow, which may in turn wait for us: so we wait only for older campaigns, and no circle can close.

    Args:
        in_hand: Whether somebody may be about to write the device's twin for the holder.
    """
    if ours.precedence.on_conflict is OnConflict.SKIP or now >= gives_up_at:
        return Settlement.SKIP
    if held is not None and not in_hand and _may_supersede(ours, holder, held):
        return Settlement.SUPERSEDE
    ends_by_itself = held is not None and (held.state is not S.PLANNED or held.retry_at is not None)
    return Settlement.WAIT if ends_by_itself or holder.is_older_than(ours) else Settlement.SKIP


def waits_for(holder: CampaignId) -> str:
    """The code of a planned row whose device another campaign holds."""
    return f"{_WAITS_FOR}{holder}"


def is_waiting(rollout: Rollout) -> bool:
    """Whether the row waits for another campaign, so that it has no claim yet that an offer could prove."""
    return rollout.state is S.PLANNED and rollout.code.startswith(_WAITS_FOR)


def superseded_by(campaign: CampaignId) -> str:
    """The code of a row whose device was taken by another campaign."""
    return f"superseded_by:{campaign}"


def held_by(campaign: CampaignId) -> str:
    """The code of a row skipped because another campaign holds its device."""
    return f"held_by:{campaign}"


def _may_supersede(ours: Contender, holder: Contender, held: Rollout) -> bool:
    wants_to = ours.precedence.on_conflict is OnConflict.SUPERSEDE
    is_higher = ours.precedence.priority > holder.precedence.priority
    return wants_to and is_higher and held.state in SUPERSEDABLE
