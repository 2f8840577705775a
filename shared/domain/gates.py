"""Gates: whether a wave passed, must wait, or stops the campaign. Reads counters only, never devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.rollouts import FINAL, RolloutState

S = RolloutState


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The conditions under which the next wave starts, or the campaign stops.

    Percentages are of the wave's counted devices: all but the skipped and the cancelled.

    Attributes:
        success_percent: The wave passes once this share succeeded and none still waits for its offer, 0-100.
        failure_percent: The campaign stops once more than this share failed, was rejected or regressed; None: no bound.
        failure_count: The campaign stops once this many did; None: no bound.
        silent_percent: The campaign stops once more than this share timed out; None: no bound.
        minimum_completed: No percentage stops the campaign before this many devices ended.
        soak_s: Seconds between the success condition and the next wave; failures during the soak still count.
    """

    success_percent: float = 100.0
    failure_percent: float | None = 0.0
    failure_count: int | None = None
    silent_percent: float | None = 10.0
    minimum_completed: int = 1
    soak_s: float = 0.0


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
        return self.of(S.FAILED, S.REJECTED, S.REGRESSED)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What an operator accepted when resuming after a gate had stopped: only what comes on top can stop it again.

    Attributes:
        failures: Devices that had failed, rejected the package or regressed.
        silent: Devices that had timed out.
    """

    failures: int = 0
    silent: int = 0


class Decision(StrEnum):
    """What a gate says about a wave."""

    WAIT = "wait"
    PASS = "pass"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A gate's decision with the sentence that explains it to an operator."""

    decision: Decision
    reason: str


def acknowledge(counters: Counters) -> Acknowledged:
    """Everything the counters hold that could stop a gate."""
    return Acknowledged(failures=counters.failures, silent=counters.of(S.TIMED_OUT))


def judge_wave(gate: Gate, counters: Counters, acknowledged: Acknowledged | None = None) -> Verdict:
    """The gate's verdict over a wave's counters; the soak is the caller's to wait for.

    Acknowledged devices leave the count as skipped ones do.
    """
    tally = _tally(counters, acknowledged or Acknowledged())
    if (stop := _stop_reason(gate, tally)) is not None:
        return Verdict(decision=Decision.STOP, reason=stop)
    if tally.share >= gate.success_percent and not counters.of(S.PLANNED):
        return Verdict(decision=Decision.PASS, reason=f"{tally.success_words}{tally.acknowledged_words}")
    if tally.ended == tally.counted:
        return Verdict(
            decision=Decision.STOP,
            reason=f"all {tally.counted} devices ended and only {tally.succeeded} succeeded "
            f"({tally.share:.0f} %, the gate asks {gate.success_percent:g} %)",
        )
    return Verdict(
        decision=Decision.WAIT,
        reason=f"{tally.ended} of {tally.counted} devices ended, {tally.succeeded} succeeded{tally.acknowledged_words}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    """What a gate looks at: the counters without what was acknowledged."""

    counted: int
    ended: int
    succeeded: int
    failures: int
    silent: int
    acknowledged: int

    @property
    def share(self) -> float:
        return _percent(self.succeeded, self.counted) if self.counted else 100.0

    @property
    def success_words(self) -> str:
        return f"{self.succeeded} of {self.counted} devices succeeded ({self.share:.0f} %)"

    @property
    def acknowledged_words(self) -> str:
        return f", {self.acknowledged} more acknowledged by an operator" if self.acknowledged else ""


def _tally(counters: Counters, acknowledged: Acknowledged) -> _Tally:
    # A device may leave the silent again by reporting late, so no more is taken off than is there.
    failures = min(acknowledged.failures, counters.failures)
    silent = min(acknowledged.silent, counters.of(S.TIMED_OUT))
    return _Tally(
        counted=counters.counted - failures - silent,
        ended=counters.ended - failures - silent,
        succeeded=counters.of(S.SUCCEEDED),
        failures=counters.failures - failures,
        silent=counters.of(S.TIMED_OUT) - silent,
        acknowledged=failures + silent,
    )


def _stop_reason(gate: Gate, tally: _Tally) -> str | None:
    if gate.failure_count is not None and tally.failures >= max(1, gate.failure_count):
        return f"{tally.failures} devices failed, the gate stops at {gate.failure_count}"
    if tally.ended < min(gate.minimum_completed, tally.counted):
        return None
    if gate.failure_percent is not None and _percent(tally.failures, tally.counted) > gate.failure_percent:
        return _exceeded(tally.failures, tally.counted, "failed", gate.failure_percent)
    if gate.silent_percent is not None and _percent(tally.silent, tally.counted) > gate.silent_percent:
        return _exceeded(tally.silent, tally.counted, "stayed silent", gate.silent_percent)
    return None


def _exceeded(count: int, counted: int, what: str, allowed_percent: float) -> str:
    share = _percent(count, counted)
    return f"{count} of {counted} devices {what} ({share:.0f} %, the gate allows {allowed_percent:g} %)"


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0
