"""Approvals: a campaign starts, or goes on to its next wave, once enough people other than its requester agreed.

An approval is for one plan. The plan's digest goes with it, and where the plan changes, what was given for the old one
no longer counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

MAX_REQUIRED = 5
MAX_REMARK = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPolicy:
    """Whose consent a campaign needs.

    Attributes:
        required: How many distinct people, the requester not among them, 1-5.
        between_waves: Whether they are asked anew before each further wave.
    """

    required: int
    between_waves: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's consent.

    Attributes:
        who: Their label, see ``shared.domain.people``.
        at: Aware UTC.
        wave: The wave that could start with it, from 1.
        plan_sha256: Digest of the plan as it stood, see ``shared.domain.plans``.
    """

    who: str
    at: datetime
    wave: int
    plan_sha256: str
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consents:
    """What people said about a campaign since it was posted.

    Attributes:
        approvals: For the plan and the wave in hand; earlier ones are in the audit log.
        is_started_early: Somebody did not want to wait for the schedule's start.
        is_end_waived: Somebody resumed it after its schedule had ended, so that the end holds no more.
    """

    approvals: tuple[Approval, ...] = ()
    is_started_early: bool = False
    is_end_waived: bool = False
