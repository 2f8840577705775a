"""Campaigns: one package rolled out to a set of devices under one policy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.approvals import ApprovalPolicy, Consents
from shared.domain.cohorts import Quarantine, Quarantined
from shared.domain.conflicts import Precedence
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.newcomers import Newcomers
from shared.domain.packages import Package
from shared.domain.pending_edits import PendingEdit
from shared.domain.rates import Pace, Paced
from shared.domain.retention import Archive
from shared.domain.retries import Retries
from shared.domain.rollouts import PackageTarget, Rollout, RolloutState
from shared.domain.schedules import AtEnd, Schedule
from shared.domain.targeting import Targeting
from shared.domain.variants import pick
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.waves import DONE_WAVES, Wave, WaveSpec
from shared.domain.windows import Window


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


class OnLateFailure(StrEnum):
    """What happens when the gate of a wave that has passed would stop it now."""

    PAUSE = "pause"
    ALERT = "alert"


class PlanningPhase(StrEnum):
    """How far the planning of a campaign is."""

    LISTING = "listing"
    ORDERING = "ordering"
    CLAIMING = "claiming"
    FILTERING = "filtering"
    CUTTING = "cutting"
    MOVING = "moving"
    DONE = "done"


RECUTTING = frozenset({PlanningPhase.FILTERING, PlanningPhase.CUTTING, PlanningPhase.MOVING})
"""After an edit of its waves a campaign is cut anew whatever its state: until then, rows are not in their batches, or
about to leave them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceList:
    """Targets named one by one; the ids lie in the manifest store, because they outgrow a table row.

    Attributes:
        count: How many ids there are, repeats removed.
        sha256: Digest over the ids, see ``digest_devices``.
    """

    count: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceQuery:
    """Targets found by an IoT Hub query over ``devices``."""

    query: str


type Targets = DeviceList | DeviceQuery


def digest_devices(devices: Iterable[DeviceId]) -> str:
    """Lower-case hex SHA-256 over the ids in order, one a line."""
    digest = hashlib.sha256()
    for device in devices:
        digest.update(device.encode() + b"\n")
    return digest.hexdigest()


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

    @property
    def shortest_s(self) -> float:
        """The shortest of them: a batch looked at this often overlooks no deadline for longer than it."""
        return min(self.offered_s, self.downloading_s, self.installing_s, self.restarting_s)

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
    """A campaign as the operator asked for it.

    Attributes:
        package: The one package, or the first of several.
        other_packages: The others, for devices of other hardware; see ``shared.domain.variants``.
        windows: When devices may install; carried in every intent, empty for always.
        pace: How fast it may go, within what the hub leaves.
        precedence: What it is worth against other campaigns.
        quarantine: When cohorts in which failures cluster are held back; None: never.
        approval: Whose consent it needs; None for nobody's.
        schedule: When it starts and ends by itself; None for at once and never.
        retention_days: How long its devices' rows stay once it has ended; 0 for ever, None for the service's default.
    """

    name: str
    package: PackageTarget
    targets: Targets
    waves: tuple[WaveSpec, ...]
    deadlines: Deadlines = field(default_factory=Deadlines)
    allow_downgrade: bool = False
    windows: tuple[Window, ...] = ()
    retries: Retries = field(default_factory=Retries)
    on_late_failure: OnLateFailure = OnLateFailure.PAUSE
    targeting: Targeting = field(default_factory=Targeting)
    pace: Pace = field(default_factory=Pace)
    precedence: Precedence = field(default_factory=Precedence)
    quarantine: Quarantine | None = None
    approval: ApprovalPolicy | None = None
    schedule: Schedule | None = None
    retention_days: int | None = None
    other_packages: tuple[PackageTarget, ...] = ()

    @property
    def packages(self) -> tuple[PackageTarget, ...]:
        """What its devices shall run, each one of them."""
        return self.package, *self.other_packages


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """The cursor of planning, so that each page is taken up where the last one ended.

    Attributes:
        page: Listing: pages written so far, of all listings, see ``shared.domain.listings``.
        ends: Listing: for each finished listing, one past its last page.
        continuation: Listing: IoT Hub's token for the next page; empty at the beginning.
        listed: Targets found so far, repeats included.
        excluded: Targets left out because the operator excluded them.
        claimed_wave: Claiming, and moving rows after an edit of waves: the wave in hand, from 1.
        claimed_batches: Batches of that wave whose rows are written.
        manifest: Which edition of the manifest its waves are slices of; empty for the first.
        skipped: Targets left out because another campaign holds them.
        current: Targets left out because they run the version already.
        waiting: Targets that other campaigns held, and that are waited for.
        manifest_sha256: Digest over the ordered targets, see ``digest_devices``; empty until they are ordered.
        no_package: Targets left out because none of several packages is for them.
        by_variant: Of several packages: for each, how many targets it was chosen for.
    """

    phase: PlanningPhase = PlanningPhase.LISTING
    page: int = 0
    ends: tuple[int, ...] = ()
    continuation: str = ""
    listed: int = 0
    excluded: int = 0
    claimed_wave: int = 1
    claimed_batches: int = 0
    manifest: str = ""
    skipped: int = 0
    current: int = 0
    waiting: int = 0
    manifest_sha256: str = ""
    no_package: int = 0
    by_variant: tuple[int, ...] = ()


class ReversionPhase(StrEnum):
    """How far a campaign that is being reverted is."""

    COLLECTING = "collecting"
    STARTING = "starting"
    WATCHING = "watching"


class Wish(StrEnum):
    """What the campaigns that bring the former versions back are to do with the one that started them."""

    GO_ON = "go_on"
    PAUSE = "pause"
    CANCEL = "cancel"
    FORCE_CANCEL = "force-cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversion:
    """The order to revert a campaign, and how far that is.

    Attributes:
        number: Which order it is; a campaign whose reverting was cancelled may be reverted again.
        ordered_by: Label of who ordered it, or the gate; empty in rows from before this was kept.
        wave: Collecting: the wave in hand, from 1.
        batches: Collecting: batches of that wave that were looked into.
        pages: Former version, see ``shared.domain.reverting.read_former``, to the pages of devices that ran it.
        devices: Former version to how many ran it.
        digests: Former version to the digest over these devices, see ``digest_devices``; empty until all are known.
        left_open: Devices that had not ended when it went on without them.
        impossible: Former version that cannot be had to why.
        children: The campaigns that bring the former versions back.
        wish: What these are to do.
        is_told: Whether all of them have been told.
        ordered_at: When it was ordered; an order is good for some days only.
        signature: The service's own over the order to revert, see ``shared.handlers.spec_desk``.
    """

    number: int = 1
    ordered_by: str = ""
    phase: ReversionPhase = ReversionPhase.COLLECTING
    wave: int = 1
    batches: int = 0
    pages: Mapping[str, int] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    left_open: int = 0
    impossible: Mapping[str, str] = field(default_factory=dict)
    children: tuple[CampaignId, ...] = ()
    wish: Wish = Wish.GO_ON
    is_told: bool = True
    ordered_at: datetime | None = None
    signature: str = ""


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
