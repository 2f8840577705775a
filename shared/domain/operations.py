"""Operations: dry runs that take longer than an answer may, because their targets must be listed first."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import OperationId
from shared.domain.plan_findings import Findings
from shared.domain.planning import PlanningPhase
from shared.domain.steps import Change

KEPT_DAYS = 7
KEEP = timedelta(days=KEPT_DAYS)
"""Whoever asked has looked by then, or never will."""


class OperationState(StrEnum):
    """How far an operation is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One dry run.

    Attributes:
        draft: The campaign it is about. It is planned as a real one would be, and never becomes one: it is in no
            table of campaigns, holds no device and has no rollout row.
        findings: What looking at the devices found so far.
        step: Rises with every step taken; queue message ids end in it.
        step_due_at: When the next step should have been taken; ``every_minute_resume`` looks at it.
        reason: Why it failed, a sentence for operators.
    """

    id: OperationId
    draft: Campaign
    findings: Findings = field(default_factory=Findings)
    state: OperationState = OperationState.RUNNING
    reason: str = ""
    step: int = 1
    step_due_at: datetime
    created_at: datetime
    changed_at: datetime

    @property
    def is_done(self) -> bool:
        """Whether no step is left."""
        return self.state is not OperationState.RUNNING

    @property
    def knows_waves(self) -> bool:
        """Whether its listing has ended, so that its waves are exact."""
        return bool(self.draft.waves)


def follow(operation: Operation, change: Change, findings: Findings, *, now: datetime) -> Operation:
    """The operation one step on, with the draft as planning left it.

    Planning that gives up, or waits for an operator, ends a dry run: nobody resumes one.
    """
    draft = change.campaign
    after = replace(
        operation,
        draft=draft,
        findings=findings,
        step=operation.step + 1,
        step_due_at=change.due_at,
        changed_at=now,
    )
    if draft.state in (CampaignState.ABORTED, CampaignState.PAUSED):
        return replace(after, state=OperationState.FAILED, reason=draft.reason)
    if draft.planning.phase is PlanningPhase.DONE:
        return replace(after, state=OperationState.SUCCEEDED)
    return after
