"""What was asked of a campaign or decided about it, for the append-only ``audit`` table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.domain.ids import CampaignId


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One row of the ``audit`` table.

    Attributes:
        step: The step the campaign takes with it; entries are ordered by it.
        at: Aware UTC.
        who: The operator; ``gate`` for verdicts.
        what: ``create``, an operator's action, ``pass`` or ``stop``.
        before: State of the campaign before; empty for ``create``.
        after: State of the campaign after.
        detail: A sentence for people.
    """

    campaign: CampaignId
    step: int
    at: datetime
    who: str
    what: str
    before: str
    after: str
    detail: str = ""
