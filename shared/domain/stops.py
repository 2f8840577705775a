"""The emergency stop: while it stands, nothing is offered to any device and no package is handed out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.ids import CampaignId

FLEET = CampaignId("fleet")
"""Stands in the place of a campaign in the audit log; ids of campaigns begin with a ``c`` and go on in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStop:
    """The one row that says whether the fleet is stopped, and who stopped or released it last.

    Attributes:
        number: Rises with each stop and each release; 0 where nobody ever stopped the fleet.
        stands: Whether the fleet is stopped now.
        reason: Why it was stopped last.
    """

    number: int = 0
    stands: bool = False
    reason: str = ""
    stopped_by: str = ""
    stopped_at: datetime | None = None
    released_by: str = ""
    released_at: datetime | None = None


def stop(before: FleetStop, reason: str, *, who: str, now: datetime) -> FleetStop:
    """The fleet stopped; the same where it is stopped already: the first reason stands."""
    if before.stands:
        return before
    return FleetStop(number=before.number + 1, stands=True, reason=reason, stopped_by=who, stopped_at=now)


def release(before: FleetStop, *, who: str, now: datetime) -> FleetStop:
    """The fleet released; the same where nothing stops it."""
    if not before.stands:
        return before
    return replace(before, number=before.number + 1, stands=False, released_by=who, released_at=now)
