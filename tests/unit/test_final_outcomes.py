"""A final outcome changes only by the corrections that the design allows (DESIGN: rollout states)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import event, given, settings
from hypothesis import strategies as st

from shared.domain.folding import fold_report
from shared.domain.retries import RETRYABLE, open_attempt
from shared.domain.rollouts import DEVICE_ENDS, FINAL, Report, Rollout, RolloutState, move
from tests.support.rollouts import NOON, OLD_VERSION, TARGET, make_report, make_rollout

S = RolloutState
SAID = ["downloading", "downloaded", "installing", "restarting", "succeeded", "failed", "rejected"]
SERVICE_SAYS = [S.OFFERED, S.TIMED_OUT, S.CANCELLED, S.SKIPPED]


@dataclass(frozen=True, kw_only=True)
class Retry:
    """The policy or an operator opens another attempt."""


type Happening = Report | RolloutState | Retry


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Of any attempt, with any place in the device's own order, about any version."""
    new = draw(st.booleans())
    return make_report(
        state=draw(st.sampled_from(SAID)),
        at=draw(st.integers(1, 12)),
        attempt=draw(st.integers(1, 3)),
        installed={TARGET.name: TARGET.version if new else OLD_VERSION},
    )


happenings = st.lists(reports() | st.sampled_from(SERVICE_SAYS) | st.just(Retry()), max_size=14)


def after(row: Rollout, what: Happening) -> Rollout:
    match what:
        case Report():
            return fold_report(row, what, TARGET, now=NOON)
        case Retry():
            return open_attempt(row, retry_at=NOON + timedelta(1), now=NOON) if row.state in RETRYABLE else row
        case state:
            return move(row, state, now=NOON)


def may_correct(before: Rollout, what: Happening, now: Rollout) -> str:
    """The correction it is; empty where it is none that is allowed."""
    if isinstance(what, Retry):
        return "a new attempt" if now.attempt == before.attempt + 1 else ""
    if not isinstance(what, Report) or what.attempt != before.attempt or now.attempt != before.attempt:
        return ""
    if before.state in (S.TIMED_OUT, S.CANCELLED) and now.state in DEVICE_ENDS | {S.REGRESSED}:
        return "a late result"
    if (before.state, now.state) == (S.SUCCEEDED, S.REGRESSED):
        return "a regression"
    came_late = before.state_mark is not None and what.mark < before.state_mark
    return "an earlier end that came late" if came_late and now.state in DEVICE_ENDS | {S.REGRESSED} else ""


@settings(max_examples=600)
@given(happenings)
def test_a_final_outcome_changes_only_by_the_corrections_that_are_allowed(story: list[Happening]) -> None:
    row = make_rollout(state=S.OFFERED)
    for what in story:
        changed = after(row, what)
        if row.state in FINAL and changed.state is not row.state:
            correction = may_correct(row, what, changed)
            assert correction, (row, what, changed)
            event(correction)
        row = changed


@settings(max_examples=300)
@given(story=happenings, old=reports())
def test_a_report_of_another_attempt_never_changes_an_outcome(story: list[Happening], old: Report) -> None:
    row = make_rollout(state=S.OFFERED)
    for what in story:
        row = after(row, what)
    other = replace(old, attempt=row.attempt + 1 if old.attempt == row.attempt else old.attempt)

    told = fold_report(row, other, TARGET, now=NOON)

    outcome: Callable[[Rollout], tuple[object, ...]] = lambda found: (found.state, found.code, found.attempt)  # noqa: E731
    assert outcome(told) == outcome(row)
