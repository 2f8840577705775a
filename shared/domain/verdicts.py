"""Verdicts: what a gate says about a wave, with every number it was judged by. Reads counters only, never devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.confidence import wilson_interval
from shared.domain.gates import BAD_ENDS, Bound, Counters, Gate
from shared.domain.rollouts import RolloutState
from shared.domain.skips import LOST, SkipCounts, SkipReason

S = RolloutState

SMALLEST_SAMPLE = 30


class Decision(StrEnum):
    """What a gate says about a wave."""

    WAIT = "wait"
    PASS = "pass"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One limit of a gate, held against what was seen.

    Attributes:
        rule: The gate's field, such as ``failure_percent``.
        seen: Devices, or their share in percent.
        judged: What was held against the limit: ``seen``, or its bound at the gate's confidence level.
        holds: Whether the condition is met: for success that it is reached, for bad ends that it is exceeded.
        reason: The sentence about it, for people.
    """

    rule: str
    seen: float
    judged: float
    limit: float
    holds: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A gate's decision with the sentence that explains it to an operator.

    Attributes:
        counted: The wave's devices without the skipped, the cancelled and the acknowledged.
        ended: How many of them ended.
        acknowledged: Devices that an operator took out of the count by resuming.
        checks: Every limit the gate has, whether it decided or not.
        skips: Why devices were skipped; None where none were, and in verdicts from before that was counted.
    """

    decision: Decision
    reason: str
    counted: int = 0
    ended: int = 0
    succeeded: int = 0
    failures: int = 0
    silent: int = 0
    acknowledged: int = 0
    checks: tuple[Check, ...] = ()
    skips: SkipCounts | None = None


def judge_wave(
    gate: Gate, counters: Counters, acknowledged: Counters | None = None, *, skips: SkipCounts | None = None
) -> Verdict:
    """The gate's verdict over a wave's counters; the soak is the caller's to wait for.

    Acknowledged devices leave the count as skipped ones do.

    Args:
        skips: Why devices were skipped, as far as that is known.
    """
    judged = counters.without(acknowledged or Counters())
    checks = (*_success_checks(gate, judged, _why_nobody(counters, skips or SkipCounts())), *_bad_checks(gate, judged))
    taken_off = counters.of(*BAD_ENDS) - judged.of(*BAD_ENDS)
    decision, reason = _decide(judged, checks)
    return Verdict(
        decision=decision,
        reason=reason + (f", {taken_off} more acknowledged by an operator or quarantined" if taken_off else ""),
        counted=judged.counted,
        ended=judged.ended,
        succeeded=judged.of(S.SUCCEEDED),
        failures=judged.failures,
        silent=judged.of(S.TIMED_OUT),
        acknowledged=taken_off,
        checks=checks,
        skips=skips,
    )


def _decide(counters: Counters, checks: tuple[Check, ...]) -> tuple[Decision, str]:
    success = [check for check in checks if check.rule.startswith("success_")]
    for check in checks:
        if check.holds and check not in success:
            return Decision.STOP, check.reason
    reached = next((check for check in success if check.holds), None)
    if reached is not None and not counters.of(S.PLANNED):
        return Decision.PASS, reached.reason
    if counters.ended == counters.counted:
        return Decision.STOP, f"all {counters.counted} devices ended: {' and '.join(check.reason for check in success)}"
    return Decision.WAIT, f"{counters.ended} of {counters.counted} devices ended, {counters.of(S.SUCCEEDED)} succeeded"


def _why_nobody(counters: Counters, skips: SkipCounts) -> str:
    """Why nobody tried the package, so that nothing is known of it; empty where somebody did, or nobody had to.

    Devices that were planned to try it and are lost are nobody's word for it. Where one of the wave runs the version
    already, as its twin confirmed, the package is proven there; and where all were left out when the campaign was
    planned, that is what people planned.
    """
    if counters.counted:
        return ""
    if counters.of(S.CANCELLED):
        return "other campaigns took them all, and nobody tried the package; skip the wave to go on"
    if not skips.of(*LOST) or skips.of(SkipReason.CURRENT):
        return ""
    unknown, skipped = skips.of(SkipReason.NOT_FOUND), counters.of(S.SKIPPED)
    if unknown == skipped:
        return f"IoT Hub knows none of the {unknown} devices (device_not_found); look at the ids, or skip the wave"
    return f"nobody tried the package: of {skipped} devices, {skips.words}; look at who is missing, or skip the wave"


def _success_checks(gate: Gate, counters: Counters, why_nobody: str) -> Iterator[Check]:
    succeeded, counted = counters.of(S.SUCCEEDED), counters.counted
    if gate.success_count is not None:
        yield Check(
            rule="success_count",
            seen=succeeded,
            judged=succeeded,
            limit=gate.success_count,
            holds=succeeded >= gate.success_count,
            reason=f"{succeeded} devices succeeded, the gate asks {gate.success_count}",
        )
    if why_nobody:
        yield _nobody_left(gate, why_nobody)
        return
    yield _success_share(gate, succeeded, counted, all_ended=counters.ended == counted)


def _nobody_left(gate: Gate, why: str) -> Check:
    return Check(
        rule="success_percent",
        seen=0.0,
        judged=0.0,
        limit=gate.success_percent,
        holds=False,
        reason=why,
    )


def _success_share(gate: Gate, succeeded: int, counted: int, *, all_ended: bool) -> Check:
    """Confidence speaks only at the end: before it, devices that have not ended yet may still prove the share."""
    share = judged = _percent(succeeded, counted) if counted else 100.0
    words = f"{succeeded} of {counted} devices succeeded ({share:.0f} %, the gate asks {gate.success_percent:g} %)"
    if not counted:
        words = "no device is left to count: all were skipped, cancelled or acknowledged"
    elif all_ended and gate.confidence_percent is not None and share < gate.success_percent:
        judged = 100 * wilson_interval(succeeded, counted, gate.confidence_percent)[1]
        words += f", which {_at(gate.confidence_percent)} may stand for {judged:.1f} %"
    return Check(
        rule="success_percent",
        seen=share,
        judged=judged,
        limit=gate.success_percent,
        holds=judged >= gate.success_percent,
        reason=words,
    )


def _bad_checks(gate: Gate, counters: Counters) -> Iterator[Check]:
    is_enough = counters.ended >= min(gate.minimum_completed, counters.counted)
    for bound in gate.bounds:
        count = counters.of(*bound.states)
        if bound.count is not None:
            yield Check(
                rule=f"{bound.name}_count",
                seen=count,
                judged=count,
                limit=bound.count,
                holds=count >= max(1, bound.count),
                reason=f"{count} devices {bound.words}, the gate stops at {bound.count}",
            )
        if bound.percent is not None:
            yield _bad_share(gate, bound, bound.percent, count, counters, is_enough=is_enough)


def _bad_share(gate: Gate, bound: Bound, limit: float, count: int, counters: Counters, *, is_enough: bool) -> Check:
    of = counters.counted if gate.confidence_percent is None else _sample(counters)
    share = judged = _percent(count, of)
    words = f"{count} of {of} devices {bound.words} ({share:.0f} %, the gate allows {limit:g} %)"
    if gate.confidence_percent is not None:
        judged = 100 * wilson_interval(count, of, gate.confidence_percent)[0]
        words = (
            f"{count} of {of} devices {bound.words} so far ({share:.0f} %, {_at(gate.confidence_percent)} at least "
            f"{judged:.1f} %, the gate allows {limit:g} %)"
        )
    return Check(
        rule=f"{bound.name}_percent",
        seen=share,
        judged=judged,
        limit=limit,
        holds=is_enough and judged > limit,
        reason=words,
    )


def _sample(counters: Counters) -> int:
    """What confidence is reckoned over: those that ended, and as many of the others as are needed to make thirty.

    The others count as good ones until they end. Else the first device of a small wave to end would decide it alone.
    """
    return max(counters.ended, min(counters.counted, SMALLEST_SAMPLE))


def _at(level_percent: float) -> str:
    return f"at {level_percent:g} % confidence"


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0
