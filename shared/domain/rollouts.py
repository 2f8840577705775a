"""A rollout: one device's part in one campaign. Its states and its transitions; ``folding`` folds reports into it.

The transition table below is data and the only place that says what may follow what; ``docs/states.md`` is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.ids import CampaignId, DeviceId

MAX_DETAIL_LENGTH = 512


class RolloutState(StrEnum):
    """Where a device is in a campaign. The values are the words on the wire and in the tables."""

    PLANNED = "planned"
    OFFERED = "offered"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    INSTALLING = "installing"
    RESTARTING = "restarting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    REGRESSED = "regressed"


S = RolloutState

DEVICE_NOT_FOUND = "device_not_found"
"""The code of a rollout skipped because IoT Hub has no such device."""

PROGRESS = (S.PLANNED, S.OFFERED, S.DOWNLOADING, S.DOWNLOADED, S.INSTALLING, S.RESTARTING)
BEGUN = frozenset(PROGRESS[2:])
"""A device in one of these has taken its offer and not ended yet."""

OPEN_OFFERS = frozenset(PROGRESS[1:])
"""A device in one of these has an offer and has not ended yet."""

FINAL = frozenset(set(S) - set(PROGRESS))
REPORTABLE = frozenset({*PROGRESS[2:], S.SUCCEEDED, S.FAILED, S.REJECTED})
"""The states a device may claim; all others are the service's own verdicts."""

DEVICE_ENDS = frozenset({S.SUCCEEDED, S.FAILED, S.REJECTED})
"""How a device may say that it has ended."""

_SERVICE_ENDS = frozenset({S.TIMED_OUT, S.CANCELLED})


def _from_progress(state: RolloutState) -> frozenset[RolloutState]:
    later = PROGRESS[PROGRESS.index(state) + 1 :]
    ends = _SERVICE_ENDS | (frozenset({S.SKIPPED}) if state is S.PLANNED else DEVICE_ENDS | {S.SKIPPED})
    return frozenset(later) | ends


TRANSITIONS: Mapping[RolloutState, frozenset[RolloutState]] = {
    **{state: _from_progress(state) for state in PROGRESS},
    S.PLANNED: frozenset({S.OFFERED, S.SKIPPED, S.CANCELLED}),
    # What a device did after the service gave up on it is the truth, so it may correct these two.
    S.TIMED_OUT: DEVICE_ENDS,
    S.CANCELLED: DEVICE_ENDS,
    S.SUCCEEDED: frozenset({S.REGRESSED}),
    S.FAILED: frozenset(),
    S.REJECTED: frozenset(),
    S.SKIPPED: frozenset(),
    S.REGRESSED: frozenset(),
}
"""State to the states that may follow it. Every forward skip is legal, because events may be merged or lost."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class OrderMark:
    """Orders a device's reports: by time first, because a recreated device starts its versions again.

    Attributes:
        last_updated: ``$lastUpdated`` of the reported property, aware UTC.
        version: ``$version`` of the reported section.
    """

    last_updated: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a device says about its rollout, always whole.

    Attributes:
        code: Why it failed or was rejected, a stable word; empty otherwise.
        detail: For people, at most 512 characters.
        progress_percent: Of the present state, 0-100.
        installed: Package name to the version the device now runs.
        hardware: What the device is, in the words that packages are compatible with; empty when it does not say.
    """

    device: DeviceId
    campaign: CampaignId
    wave: int
    attempt: int
    sequence: int
    state: RolloutState
    code: str = ""
    detail: str = ""
    progress_percent: int = 0
    installed: Mapping[str, str]
    agent_version: str
    hardware: str = ""
    mark: OrderMark


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One row of the ``rollout`` table.

    Attributes:
        wave: Number of the wave, from 1.
        batch: Number of the device batch within wave and shard, from 0.
        attempt: From 1; a retry opens a new one.
        sequence: Rises with each claim of the device; carried in the offer and proven by the intent.
        variant: Which of the campaign's packages it gets, from 0.
        code: Reason of ``failed``, ``rejected`` and ``skipped``.
        former_version: What it ran before, as far as the service or the device said; empty when unknown.
        installed_version: What the device last said it runs of the campaign's package; empty when it never said.
        hardware: What the device last said it is; empty when it never said.
        sent_at: When the offer was written to the twin; None means it must be written (again).
        due_at: When the present state times out; None in final states and in ``planned``.
        retry_at: Of a planned row that gets a time slot of its own, as a further attempt does: before then it gets no
            offer. None: it has its batch's.
        past_state: How the attempt before ended; None in the first.
        past_code: Why.
        mark: Order mark of the newest report seen.
        state_mark: Order mark of the report that gave the state, its code, detail and progress.
        other_mark: Order mark of the newest report of another version than the campaign's.
    """

    device: DeviceId
    campaign: CampaignId
    wave: int
    batch: int
    state: RolloutState = S.PLANNED
    attempt: int = 1
    sequence: int
    variant: int = 0
    code: str = ""
    detail: str = ""
    progress_percent: int = 0
    installed_version: str = ""
    former_version: str = ""
    agent_version: str = ""
    hardware: str = ""
    changed_at: datetime
    sent_at: datetime | None = None
    due_at: datetime | None = None
    retry_at: datetime | None = None
    past_state: RolloutState | None = None
    past_code: str = ""
    mark: OrderMark | None = None
    state_mark: OrderMark | None = None
    other_mark: OrderMark | None = None

    @property
    def is_final(self) -> bool:
        """Whether the rollout has ended."""
        return self.state in FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageTarget:
    """What a campaign wants its devices to run."""

    name: str
    version: str


def is_allowed(before: RolloutState, after: RolloutState) -> bool:
    """Whether the transition table lets ``after`` follow ``before``."""
    return after in TRANSITIONS[before]


def move(rollout: Rollout, state: RolloutState, *, now: datetime, code: str = "", detail: str = "") -> Rollout:
    """The rollout in the new state, or unchanged where the transition table forbids it.

    ``due_at`` is dropped, because a deadline belongs to a state; the caller gives the new one.
    """
    if not is_allowed(rollout.state, state):
        return rollout
    return replace(
        rollout,
        state=state,
        code=code,
        detail=detail[:MAX_DETAIL_LENGTH],
        progress_percent=0,
        changed_at=now,
        due_at=None,
    )
