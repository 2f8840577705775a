"""Campaigns: one package rolled out to a set of devices under one policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.ids import CampaignId, DeviceId
from shared.domain.packages import Package
from shared.domain.rollouts import PackageTarget, RolloutState
from shared.domain.waves import Wave, WaveSpec


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

CAMPAIGN_TRANSITIONS: Mapping[CampaignState, frozenset[CampaignState]] = {
    C.PLANNING: frozenset({C.AWAITING_APPROVAL, C.SCHEDULED, C.RUNNING, C.PAUSED, C.COMPLETED, C.ABORTED}),
    C.AWAITING_APPROVAL: frozenset({C.SCHEDULED, C.RUNNING, C.ABORTED}),
    C.SCHEDULED: frozenset({C.RUNNING, C.PAUSED, C.ABORTED}),
    C.RUNNING: frozenset({C.PAUSED, C.COMPLETED, C.ABORTED, C.REVERTING}),
    C.PAUSED: frozenset({C.PLANNING, C.RUNNING, C.ABORTED, C.REVERTING}),
    C.COMPLETED: frozenset({C.PAUSED, C.REVERTING}),
    C.ABORTED: frozenset({C.REVERTING}),
    C.REVERTING: frozenset({C.REVERTED, C.PAUSED}),
    C.REVERTED: frozenset(),
}


class PlanningPhase(StrEnum):
    """How far the planning of a campaign is."""

    LISTING = "listing"
    ORDERING = "ordering"
    CLAIMING = "claiming"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceList:
    """Targets named one by one."""

    devices: tuple[DeviceId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceQuery:
    """Targets found by an IoT Hub query over ``devices``."""

    query: str


type Targets = DeviceList | DeviceQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a device may stay in a state before it counts as timed out, in seconds.

    Attributes:
        offered_s: Waiting for the device to take the offer, offline devices included.
    """

    offered_s: float = 7 * 86_400
    downloading_s: float = 86_400
    installing_s: float = 3_600
    restarting_s: float = 3_600

    def of(self, state: RolloutState) -> float | None:
        """Seconds the state may last; None for states that do not end by themselves."""
        return {
            RolloutState.OFFERED: self.offered_s,
            RolloutState.DOWNLOADING: self.downloading_s,
            RolloutState.DOWNLOADED: self.installing_s,
            RolloutState.INSTALLING: self.installing_s,
            RolloutState.RESTARTING: self.restarting_s,
        }.get(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSpec:
    """A campaign as the operator asked for it."""

    name: str
    package: PackageTarget
    targets: Targets
    waves: tuple[WaveSpec, ...]
    deadlines: Deadlines = field(default_factory=Deadlines)
    allow_downgrade: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """The cursor of planning, so that each page is taken up where the last one ended.

    Attributes:
        page: Listing: pages of targets written so far.
        continuation: Listing: IoT Hub's token for the next page; empty at the beginning.
        listed: Targets found so far, repeats included.
        claimed_wave: Claiming: the wave in hand, from 1.
        claimed_batches: Claiming: batches of that wave whose rows are written.
        skipped: Targets left out because another campaign holds them.
    """

    phase: PlanningPhase = PlanningPhase.LISTING
    page: int = 0
    continuation: str = ""
    listed: int = 0
    claimed_wave: int = 1
    claimed_batches: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign with its waves: one table partition, written in one transaction.

    Attributes:
        package: The package as it stood in the index when the campaign was posted.
        shards: Number of partitions its rollout rows are spread over; fixed for its life.
        step: Rises with every step taken; queue message ids end in it.
        step_due_at: When the next step should have been taken; ``every_minute_resume`` looks at it.
        reason: Why it is in its state, a sentence for operators.
        requested_by: Who posted it.
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
    requested_by: str
    created_at: datetime
    changed_at: datetime

    @property
    def target(self) -> PackageTarget:
        """What its devices shall run."""
        return self.spec.package

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be offered."""
        return self.state in FINISHED
