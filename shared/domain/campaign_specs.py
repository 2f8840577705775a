"""What was asked for when a campaign was posted: the spec that the service signs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.approvals import ApprovalPolicy
from shared.domain.cohorts import Quarantine
from shared.domain.conflicts import Precedence
from shared.domain.ids import DeviceId
from shared.domain.rates import Pace
from shared.domain.retries import Retries
from shared.domain.rollouts import PackageTarget, RolloutState
from shared.domain.schedules import Schedule
from shared.domain.targeting import Targeting
from shared.domain.waves import WaveSpec
from shared.domain.windows import Window


class OnLateFailure(StrEnum):
    """What happens when the gate of a wave that has passed would stop it now."""

    PAUSE = "pause"
    ALERT = "alert"


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
