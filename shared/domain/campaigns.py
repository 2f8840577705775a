"""Campaigns: one package rolled out to a set of devices under one policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.approvals import Consents
from shared.domain.campaign_specs import (
    CampaignSpec,
)
from shared.domain.cohorts import Quarantined
from shared.domain.ids import CampaignId
from shared.domain.newcomers import Newcomers
from shared.domain.packages import Package
from shared.domain.pending_edits import PendingEdit
from shared.domain.planning import RECUTTING, Planning
from shared.domain.rates import Paced
from shared.domain.retention import Archive
from shared.domain.reversions import Reversion
from shared.domain.rollouts import PackageTarget, Rollout
from shared.domain.schedules import AtEnd
from shared.domain.variants import pick
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.waves import DONE_WAVES, Wave


class CampaignState(StrEnum):
    """Where a campaign is. The values are the words on the wire and in the tables."""

    PLANNING = "planning"
    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    ABORTED = "aborted"
    REVERTING = "reverting"
    REVERTED = "reverted"


C = CampaignState

FINISHED = frozenset({C.COMPLETED, C.ABORTED, C.REVERTED})
OFFERING = frozenset({C.AWAITING_APPROVAL, C.RUNNING, C.COMPLETED})
"""Offers of waves that have started go out in these: a wave may pass, and with it the campaign, or people be asked
about the next one, before the hub had room for all of them."""

PAUSABLE = frozenset({C.PLANNING, C.SCHEDULED, C.RUNNING})
"""The states in which something goes on that the service may have to stop. Reverting is no harm, and goes on."""

STEPPING = PAUSABLE | {C.REVERTING}
"""The states in which a campaign has a next step of its own; in all others it waits for an operator."""

CAMPAIGN_TRANSITIONS: Mapping[CampaignState, frozenset[CampaignState]] = {
    C.PLANNING: frozenset({C.AWAITING_APPROVAL, C.SCHEDULED, C.RUNNING, C.PAUSED, C.COMPLETED, C.ABORTED}),
    C.AWAITING_APPROVAL: frozenset({C.SCHEDULED, C.RUNNING, C.PAUSED, C.ABORTED, C.REVERTING}),
    C.SCHEDULED: frozenset({C.AWAITING_APPROVAL, C.RUNNING, C.PAUSED, C.ABORTED}),
    C.RUNNING: frozenset({C.AWAITING_APPROVAL, C.PAUSED, C.COMPLETED, C.ABORTED, C.REVERTING}),
    C.PAUSED: frozenset({C.PLANNING, C.AWAITING_APPROVAL, C.SCHEDULED, C.RUNNING, C.ABORTED, C.REVERTING}),
    C.COMPLETED: frozenset({C.PAUSED, C.REVERTING}),
    C.ABORTED: frozenset({C.REVERTING}),
    C.REVERTING: frozenset({C.AWAITING_APPROVAL, C.PAUSED, C.REVERTED, C.ABORTED}),
    C.REVERTED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign with its waves: one table partition, written in one transaction.

    Attributes:
        package: The package as it stood in the index when the campaign was posted; of several, the first.
        other_packages: The others, in the order of ``CampaignSpec.other_packages``.
        shards: Number of partitions its rollout rows are spread over; fixed for its life.
        step: Rises with every step taken; queue message ids end in it.
        step_due_at: When the next step should have been taken; ``every_minute_resume`` looks at it.
        reason: Why it is in its state, a sentence for operators.
        quarantined: The cohorts that are held back.
        paced: The last device batch that its own pace let go; None before the first.
        newcomers: How far a dynamic campaign is with looking for devices that join it.
        wave_edit: The edit of its waves that waits for its filters to be listed; None where there is none.
        walks: Work that goes through its batches, the first one in hand: offers taken back, waves left out.
        consents: What people said about it since it was posted.
        is_forced: Whether it was given up together with its devices that had begun.
        is_reopened: Whether it had completed before late failures paused it: its schedule has no say in it any more.
        reversion: The order to revert it, and how far that is; None where nobody ordered it.
        archive: How far its rows are on their way out of the table; None while they stay.
        requested_by: Who posted it.
        spec_signature: The service's own signature over what it was asked for, see ``shared.handlers.spec_desk``.
        state_since: When it came into its state; None in rows from before this was kept.
        request_sha256: Digest of the request, to tell a repeated request from another one under the same key.
    """

    id: CampaignId
    spec: CampaignSpec
    package: Package
    shards: int
    state: CampaignState = C.PLANNING
    reason: str = ""
    step: int = 0
    step_due_at: datetime
    targets: int = 0
    planning: Planning = field(default_factory=Planning)
    waves: tuple[Wave, ...] = ()
    paced: Paced | None = None
    quarantined: tuple[Quarantined, ...] = ()
    newcomers: Newcomers = field(default_factory=Newcomers)
    walks: tuple[Walk, ...] = ()
    wave_edit: PendingEdit | None = None
    is_forced: bool = False
    is_reopened: bool = False
    reversion: Reversion | None = None
    consents: Consents = field(default_factory=Consents)
    archive: Archive | None = None
    requested_by: str
    request_sha256: str = ""
    spec_signature: str = ""
    other_packages: tuple[Package, ...] = ()
    created_at: datetime
    changed_at: datetime
    state_since: datetime | None = None

    @property
    def in_state_since(self) -> datetime:
        """When it came into its state, or at the latest."""
        return self.state_since or self.changed_at

    @property
    def target(self) -> PackageTarget:
        """What its devices shall run; of several packages, the first."""
        return self.spec.package

    @property
    def packages(self) -> tuple[Package, ...]:
        """Its packages; of several, at most one is for any device."""
        return self.package, *self.other_packages

    @property
    def largest_bytes(self) -> int:
        """Length of its largest package."""
        return max(package.length_bytes for package in self.packages)

    def package_of(self, rollout: Rollout) -> Package:
        """The package that the row's device gets."""
        return pick(self.packages, rollout.variant)

    def target_of(self, rollout: Rollout) -> PackageTarget:
        """What the row's device shall run."""
        return pick(self.spec.packages, rollout.variant)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be offered."""
        return self.state in FINISHED

    @property
    def awaits_step(self) -> bool:
        """Whether a step is due at ``step_due_at``, so that a lost message must be sent again."""
        if self.state in STEPPING or self.planning.phase in RECUTTING or self.newcomers.page is not None:
            return True
        if self.has_untold_children:
            return True
        return self.walk_in_hand is not None or self.end_awaited is not None

    @property
    def goes_back(self) -> bool:
        """Whether it was ordered to be reverted: from then on it offers its package to nobody, whatever its state."""
        return self.reversion is not None or self.state is C.REVERTING

    @property
    def has_untold_children(self) -> bool:
        """Whether the campaigns that revert it do not know yet what they are to do."""
        return self.reversion is not None and not self.reversion.is_told

    @property
    def walk_in_hand(self) -> Walk | None:
        """The walk that goes on now; None when there is none. Retries wait out a pause."""
        may_offer = self.state in OFFERING
        return next((walk for walk in self.walks if may_offer or walk.purpose is not BatchPurpose.RETRY), None)

    @property
    def start_awaited(self) -> datetime | None:
        """When its schedule lets it start; None where nothing holds it back."""
        schedule = self.spec.schedule
        return schedule.start_at if schedule and not self.consents.is_started_early else None

    @property
    def end_of_offers(self) -> datetime | None:
        """When its schedule ends; None where it has no end, or an operator went on after it."""
        schedule = self.spec.schedule
        return schedule.end_at if schedule and not self.consents.is_end_waived else None

    @property
    def end_awaited(self) -> datetime | None:
        """When it must be ended; None where it need not, or rests already as its schedule asks."""
        if self.is_finished or self.goes_back or self.spec.schedule is None:
            return None
        is_ended = self.state is C.PAUSED and (self.is_reopened or self.spec.schedule.at_end is AtEnd.PAUSE)
        return None if is_ended else self.end_of_offers

    @property
    def wave_in_hand(self) -> Wave | None:
        """The first wave that neither passed nor was skipped; None when there is none."""
        return next((wave for wave in self.waves if wave.state not in DONE_WAVES), None)

    def with_wave(self, wave: Wave) -> Campaign:
        """The campaign with this wave in the place of the one with its number."""
        return replace(self, waves=tuple(wave if other.number == wave.number else other for other in self.waves))
