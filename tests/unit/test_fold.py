"""Reports fold into the same row in whatever order, and however often, they come (invariants I4, I11)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.folding import essential_reports, fold_report
from shared.domain.rollouts import Report, Rollout, RolloutState, move
from tests.support.rollouts import NOON, OLD_VERSION, TARGET, make_report, make_rollout, mark

S = RolloutState
STEPS = ["downloading", "downloaded", "installing", "restarting"]


def fold(reports: Iterable[Report], rollout: Rollout | None = None) -> Rollout:
    return reduce(lambda row, report: fold_report(row, report, TARGET, now=NOON), reports, rollout or make_rollout())


@st.composite
def histories(draw: st.DrawFn) -> list[Report]:
    """What a device says in one attempt: steps forward, replays of old states, an end, and perhaps an old version."""
    states: list[str] = []
    for state in draw(
        st.lists(st.sampled_from(STEPS), unique=True, max_size=4).map(lambda steps: sorted(steps, key=STEPS.index))
    ):
        states.append(state)
        states += draw(st.lists(st.sampled_from(states), max_size=2))
    reports = [make_report(state=state, at=at, detail=f"report {at}") for at, state in enumerate(states, start=1)]
    end = draw(st.sampled_from(["succeeded", "failed", "rejected", None]))
    if end:
        reports.append(make_report(state=end, at=len(reports) + 1, code="" if end == "succeeded" else "health_check"))
    if end == "succeeded" and draw(st.booleans()):
        state = draw(st.sampled_from([*STEPS, "failed", "succeeded"]))
        reports.append(make_report(state=state, at=len(reports) + 1, installed={TARGET.name: OLD_VERSION}))
    return reports or [make_report()]


@st.composite
def any_reports(draw: st.DrawFn) -> list[Report]:
    """What a broken device may say: any states in any order, any version at any time."""
    said = draw(
        st.lists(
            st.tuples(st.sampled_from([*STEPS, "succeeded", "failed", "rejected"]), st.booleans()),
            min_size=1,
            max_size=7,
        )
    )
    return [
        make_report(state=state, at=at, detail=f"report {at}", installed={TARGET.name: TARGET.version} if new else {})
        for at, (state, new) in enumerate(said, start=1)
    ]


@given(history=histories() | any_reports(), more=st.data())
def test_reports_in_any_order_and_with_repeats_end_in_the_same_row(history: list[Report], more: st.DataObject) -> None:
    in_order = fold(history)
    shuffled = more.draw(st.permutations(history + more.draw(st.lists(st.sampled_from(history), max_size=4))))
    assert fold(shuffled) == in_order


@given(first=histories() | any_reports(), second=histories() | any_reports(), more=st.data())
def test_reports_of_two_attempts_in_any_order_end_in_the_row_of_the_second(
    first: list[Report], second: list[Report], more: st.DataObject
) -> None:
    """What the device says of its former attempt, however late, leaves the outcome of the present one alone."""
    row = make_rollout(attempt=2, sequence=2)
    said_later = [
        replace(report, attempt=2, sequence=2, mark=mark(len(first) + at)) for at, report in enumerate(second, start=1)
    ]
    repeats = more.draw(st.lists(st.sampled_from([*first, *said_later]), max_size=4))
    shuffled = more.draw(st.permutations([*first, *said_later, *repeats]))
    in_order = fold([*first, *said_later], row)
    assert fold(shuffled, row) == in_order
    alone = fold(said_later, row)
    assert (in_order.state, in_order.code, in_order.attempt) == (alone.state, alone.code, 2)


@given(history=histories() | any_reports())
def test_the_essential_reports_fold_to_the_same_row_as_all_of_them(history: list[Report]) -> None:
    essential = essential_reports(history, TARGET)
    assert len(essential) <= 3
    assert fold(essential) == fold(history)


@given(history=histories(), lost=st.data())
def test_merged_events_still_end_where_the_device_ended(history: list[Report], lost: st.DataObject) -> None:
    # IoT Hub may merge notifications: any report but the newest may never be seen on its own.
    kept = [report for report in history[:-1] if lost.draw(st.booleans())] + history[-1:]
    whole, merged = fold(history), fold(kept)
    if history[-1].state in (S.FAILED, S.REJECTED, S.SUCCEEDED) and whole.state is not S.REGRESSED:
        assert (merged.state, merged.code) == (whole.state, whole.code)
    assert merged.installed_version == whole.installed_version


@given(history=histories(), when=st.integers(min_value=0, max_value=12))
def test_a_time_out_never_outlives_the_end_a_device_reports(history: list[Report], when: int) -> None:
    before, after = history[:when], history[when:]
    silent = move(fold(before), S.TIMED_OUT, now=NOON, code="offered")
    told = fold(after, silent)
    without = fold(history)
    assert told.state is (without.state if without.is_final else S.TIMED_OUT)


def test_success_needs_the_version_that_proves_it() -> None:
    claimed = fold([make_report(state="succeeded", installed={TARGET.name: OLD_VERSION})])
    assert (claimed.state, claimed.code) == (S.FAILED, "success_without_version")


def test_an_old_version_after_success_withdraws_it() -> None:
    succeeded = fold([make_report(state="succeeded", at=3)])
    assert succeeded.state is S.SUCCEEDED
    later = fold_report(
        succeeded, make_report(state="succeeded", at=4, installed={TARGET.name: OLD_VERSION}), TARGET, now=NOON
    )
    assert (later.state, later.code, later.installed_version) == (S.REGRESSED, "old_version_reported", OLD_VERSION)


def test_an_old_version_before_success_withdraws_nothing() -> None:
    assert fold([make_report(state="succeeded", at=3), make_report(state="installing", at=2)]).state is S.SUCCEEDED


def test_a_report_under_another_claim_moves_the_order_mark_and_not_the_state() -> None:
    """The device was claimed anew since: what it says of the offer before is not about this one."""
    row = make_rollout(attempt=1, sequence=3)
    after = fold([make_report(state="failed", at=1, code="no_space")], row)
    assert (after.state, after.code, after.mark) == (row.state, row.code, mark(1))


def test_an_older_attempt_moves_the_order_mark_and_not_the_state() -> None:
    second = make_rollout(attempt=2, sequence=2)
    told = fold([make_report(state="failed", at=5)], second)
    assert (told.state, told.mark) == (S.OFFERED, make_report(at=5).mark)


def test_the_same_state_again_brings_its_newer_detail_and_keeps_its_deadline() -> None:
    due = NOON + timedelta(hours=1)
    row = make_rollout(state=S.DOWNLOADING, due_at=due, state_mark=make_report(at=1).mark)
    told = fold([make_report(at=2, progress_percent=50, detail="half")], row)
    assert (told.progress_percent, told.detail, told.due_at, told.changed_at) == (50, "half", due, NOON)
