"""Retries: which failures a campaign tries again by itself, how often, and after how long."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from shared.domain.rollouts import MAX_DETAIL_LENGTH, Rollout, RolloutState, move

S = RolloutState

RETRYABLE = frozenset({S.FAILED, S.TIMED_OUT, S.REGRESSED})
"""The ends that an operator may have tried again. A device that rejects a package would reject it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """A campaign's policy.

    Attributes:
        maximum: Further attempts after the first; 0: none.
        backoff_s: Seconds before the second attempt.
        factor: Each further wait is so many times as long.
        longest_s: No wait is longer, the jitter apart.
        jitter: Each wait is longer by up to this share, so that devices that failed together do not return together.
        codes: Patterns (``*`` and ``?``) of the failure codes that are tried again.
        timed_out: Whether devices that were not heard of are tried again, too.
    """

    maximum: int = 0
    backoff_s: float = 60.0
    factor: float = 2.0
    longest_s: float = 3_600.0
    jitter: float = 0.2
    codes: tuple[str, ...] = ("*",)
    timed_out: bool = False


def retry_if_wanted(rollout: Rollout, policy: Retries, *, now: datetime, end: datetime | None = None) -> Rollout:
    """The rollout as it is, or in a new attempt where it has just ended in a way that the policy tries again.

    Args:
        end: Of the campaign's schedule: nobody is offered anything after it, so no attempt is opened that would wait.
    """
    if rollout.attempt > policy.maximum or not _is_wanted(rollout, policy):
        return rollout
    retry_at = now + timedelta(seconds=_wait_s(rollout, policy))
    return rollout if end is not None and retry_at >= end else open_attempt(rollout, retry_at=retry_at, now=now)


def open_attempt(rollout: Rollout, *, retry_at: datetime, now: datetime) -> Rollout:
    """The rollout planned once more. Reports of the attempt before move its order mark and nothing else from now on.

    Args:
        retry_at: Before then it gets no offer.
    """
    ended = f"{rollout.state.value} ({rollout.code})" if rollout.code else rollout.state.value
    return replace(
        rollout,
        state=S.PLANNED,
        attempt=rollout.attempt + 1,
        code="",
        detail=f"attempt {rollout.attempt} ended: {ended}",
        progress_percent=0,
        changed_at=now,
        sent_at=None,
        due_at=None,
        retry_at=retry_at,
        past_state=rollout.state,
        past_code=rollout.code,
        state_mark=None,
        other_mark=None,
    )


def may_begin(rollout: Rollout, *, by: datetime) -> bool:
    """Whether the row waits for a turn of its own, such as a further attempt, that may begin by then."""
    return rollout.state is S.PLANNED and rollout.retry_at is not None and rollout.retry_at <= by


def cut_short(rollout: Rollout, state: RolloutState, *, now: datetime, code: str, detail: str = "") -> Rollout:
    """The rollout after the service ended it before its device had, in ``state``; unchanged where it has ended.

    Where it was a further attempt, the end of the attempt before stands: a device counts once, by how its last attempt
    ended, and no gate may lose a failure because the device was taken away, or the campaign cancelled, while it was to
    try again. Should the device end this attempt all the same, what it says counts.
    """
    ended = replace(move(rollout, state, now=now, code=code, detail=detail), retry_at=None)
    if rollout.past_state is None or ended.state is not state:
        return ended
    words = f"attempt {rollout.attempt} was cut short: {state.value} ({code})" + (f", {detail}" if detail else "")
    # No report of this attempt gave the state that stands now: the first end that one tells of comes before it.
    return replace(
        ended,
        state=rollout.past_state,
        code=rollout.past_code,
        detail=words[:MAX_DETAIL_LENGTH],
        state_mark=None,
    )


def _is_wanted(rollout: Rollout, policy: Retries) -> bool:
    match rollout.state:
        case S.FAILED:
            return any(fnmatchcase(rollout.code, pattern) for pattern in policy.codes)
        case S.TIMED_OUT:
            return policy.timed_out
        case _:
            return False


def _wait_s(rollout: Rollout, policy: Retries) -> float:
    """The jitter is the device's own, so that a repeated fold finds the same time."""
    wait = min(policy.longest_s, policy.backoff_s * policy.factor ** (rollout.attempt - 1))
    digest = hashlib.sha256(f"{rollout.campaign}:{rollout.device}:{rollout.attempt}".encode()).digest()
    return wait * (1 + policy.jitter * int.from_bytes(digest[:4]) / 2**32)
