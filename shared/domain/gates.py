"""Gates: the conditions under which the next wave starts, or the campaign stops; and the counters they look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.rollouts import FINAL, RolloutState

S = RolloutState

FAILURES = frozenset({S.FAILED, S.REJECTED, S.REGRESSED})
BAD_ENDS = FAILURES | {S.TIMED_OUT}
"""The states that can stop a campaign."""


class OnStop(StrEnum):
    """What becomes of the campaign once a gate stops it."""

    PAUSE = "pause"
    ABORT = "abort"
    REVERT = "revert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A limit on how many devices may end in one of the states.

    Attributes:
        name: What it is called in a gate: ``<name>_percent`` and ``<name>_count``.
        words: What such a device did, to follow "12 devices".
        percent: More than this share exceeds it; None: no limit.
        count: This many exceed it; None: no limit.
    """

    name: str
    words: str
    states: frozenset[RolloutState]
    percent: float | None
    count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The conditions under which the next wave starts, or the campaign stops.

    Percentages are of the wave's counted devices: all but the skipped and the cancelled. Counts are never held back by
    ``minimum_completed``.

    Attributes:
        success_percent: The wave passes once this share succeeded and none still waits for its offer, 0-100.
        success_count: It passes as well once this many succeeded; None: only the share counts.
        failure_percent: The campaign stops once more than this share failed, was rejected or regressed; None: no bound.
        failure_count: The campaign stops once this many did; None: no bound.
        rejected_percent: The same for those alone that rejected the package.
        silent_percent: The same for those that timed out.
        minimum_completed: No percentage stops the campaign before this many devices ended.
        confidence_percent: Percentages are held against the Wilson bound of what was seen at this two-sided level, so
            that few devices prove little; None: against what was seen.
        soak_s: Seconds between the success condition and the next wave; failures during the soak still count.
    """

    success_percent: float = 100.0
    success_count: int | None = None
    failure_percent: float | None = 0.0
    failure_count: int | None = None
    rejected_percent: float | None = None
    rejected_count: int | None = None
    silent_percent: float | None = 10.0
    silent_count: int | None = None
    minimum_completed: int = 1
    confidence_percent: float | None = None
    soak_s: float = 0.0
    on_stop: OnStop = OnStop.PAUSE

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """Its limits on bad ends, the widest first."""
        return (
            Bound(
                name="failure",
                words="failed",
                states=FAILURES,
                percent=self.failure_percent,
                count=self.failure_count,
            ),
            Bound(
                name="rejected",
                words="rejected the package",
                states=frozenset({S.REJECTED}),
                percent=self.rejected_percent,
                count=self.rejected_count,
            ),
            Bound(
                name="silent",
                words="stayed silent",
                states=frozenset({S.TIMED_OUT}),
                percent=self.silent_percent,
                count=self.silent_count,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """How many devices of a wave are in which state; equals the rows at every moment (invariant I3)."""

    by_state: Mapping[RolloutState, int] = field(default_factory=dict)

    def of(self, *states: RolloutState) -> int:
        """How many devices are in any of the states."""
        return sum(self.by_state.get(state, 0) for state in states)

    @property
    def total(self) -> int:
        """All devices of the wave."""
        return sum(self.by_state.values())

    @property
    def counted(self) -> int:
        """The denominator of every percentage."""
        return self.total - self.of(S.SKIPPED, S.CANCELLED)

    @property
    def failures(self) -> int:
        """Devices that failed, rejected the package or went back to the old version."""
        return self.of(*FAILURES)

    @property
    def ended(self) -> int:
        """Counted devices in a final state."""
        return self.of(*(FINAL - {S.SKIPPED, S.CANCELLED}))

    def __add__(self, other: Counters) -> Counters:
        return Counters(by_state={state: self.of(state) + other.of(state) for state in S})

    def moved(self, before: RolloutState | None, after: RolloutState) -> Counters:
        """The counters after one device went from ``before`` (None: it is new) to ``after``."""
        counts = dict(self.by_state)
        if before is not None:
            counts[before] = counts.get(before, 0) - 1
        counts[after] = counts.get(after, 0) + 1
        return Counters(by_state=counts)

    def left_by(self, states: Iterable[RolloutState]) -> Counters:
        """The counters after devices in these states went to another wave."""
        counts = dict(self.by_state)
        for state in states:
            counts[state] = counts.get(state, 0) - 1
        return Counters(by_state=counts)

    def without(self, acknowledged: Counters) -> Counters:
        """The counters without what was acknowledged.

        A device may leave a state again, by reporting late or by a retry: no more is taken off than is there.
        """
        return Counters(by_state={state: max(0, self.of(state) - acknowledged.of(state)) for state in S})


def smaller(left: Counters, right: Counters) -> Counters:
    """State by state the smaller of both."""
    chosen = {state: min(left.of(state), right.of(state)) for state in S}
    return Counters(by_state={state: count for state, count in chosen.items() if count})


def acknowledge(counters: Counters) -> Counters:
    """What of the counters could stop a gate: an operator who resumes accepts it, and only what comes on top counts."""
    return Counters(by_state={state: counters.of(state) for state in BAD_ENDS if counters.of(state)})
