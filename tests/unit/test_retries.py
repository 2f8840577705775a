"""Which failures are tried again, how often and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.folding import fold_report
from shared.domain.ids import DeviceId
from shared.domain.retries import Retries, cut_short, open_attempt, retry_if_wanted
from shared.domain.rollouts import FINAL, Rollout, RolloutState, move
from tests.support.rollouts import NOON, TARGET, make_report, make_rollout

S = RolloutState
THREE = Retries(maximum=3, backoff_s=60, jitter=0)


def failed(code: str = "install_failed", attempt: int = 1, device: str = "gw-1") -> Rollout:
    return replace(make_rollout(DeviceId(device), S.FAILED), code=code, attempt=attempt)


def wait_s(rollout: Rollout, policy: Retries) -> float:
    again = retry_if_wanted(rollout, policy, now=NOON)
    assert again.retry_at is not None
    return (again.retry_at - NOON).total_seconds()


def test_a_campaign_without_a_policy_tries_nothing_again() -> None:
    assert retry_if_wanted(failed(), Retries(), now=NOON) == failed()


def test_a_failure_opens_a_further_attempt_that_says_why() -> None:
    again = retry_if_wanted(failed(), THREE, now=NOON)
    assert (again.state, again.attempt, again.sent_at, again.due_at) == (S.PLANNED, 2, None, None)
    assert again.detail == "attempt 1 ended: failed (install_failed)"


def test_a_further_attempt_that_is_cut_short_leaves_the_end_before_it() -> None:
    """A gate that had not counted the failure, because it was to be tried again, counts it now."""
    again = retry_if_wanted(failed(), THREE, now=NOON)
    offered = replace(move(again, S.OFFERED, now=NOON), retry_at=None, sent_at=NOON)
    for open_row in (again, offered):
        ended = cut_short(open_row, S.CANCELLED, now=NOON, code="superseded_by:other", detail="a fix came")
        assert (ended.state, ended.code, ended.attempt) == (S.FAILED, "install_failed", 2)
        assert ended.detail == "attempt 2 was cut short: cancelled (superseded_by:other), a fix came"
        assert (ended.retry_at, ended.due_at) == (None, None)


def test_a_first_attempt_that_is_cut_short_says_nothing_of_the_package() -> None:
    ended = cut_short(make_rollout(), S.CANCELLED, now=NOON, code="superseded_by:other")
    assert (ended.state, ended.code) == (S.CANCELLED, "superseded_by:other")


@pytest.mark.parametrize("state", [S.SUCCEEDED, S.REJECTED, S.TIMED_OUT])
def test_an_attempt_that_has_ended_is_not_cut_short(state: RolloutState) -> None:
    ended = replace(retry_if_wanted(failed(), THREE, now=NOON), state=state)
    assert cut_short(ended, S.CANCELLED, now=NOON, code="offered").state is state


@pytest.mark.parametrize("told", ["", "downloading", "restarting"])
def test_a_device_that_ends_an_attempt_all_the_same_is_believed(told: str) -> None:
    """Whether it had begun before the attempt was cut short, or not: a revert must find what it runs."""
    again = replace(move(retry_if_wanted(failed(), THREE, now=NOON), S.OFFERED, now=NOON), sequence=2)
    if told:
        again = fold_report(again, make_report(state=told, at=7, attempt=2, sequence=2), TARGET, now=NOON)
    ended = cut_short(again, S.CANCELLED, now=NOON, code="superseded_by:other")
    before = fold_report(ended, make_report(state="succeeded", at=9), TARGET, now=NOON)
    assert before.state is S.FAILED, "a report of the attempt before says nothing about this one"
    after = fold_report(ended, make_report(state="succeeded", at=9, attempt=2, sequence=2), TARGET, now=NOON)
    assert after.state is S.SUCCEEDED


def test_waits_grow_up_to_a_bound_and_attempts_end() -> None:
    assert [wait_s(failed(attempt=attempt), THREE) for attempt in (1, 2, 3)] == [60, 120, 240]
    assert wait_s(failed(attempt=3), replace(THREE, longest_s=90)) == 90
    assert retry_if_wanted(failed(attempt=4), THREE, now=NOON).state is S.FAILED


def test_no_attempt_is_opened_that_would_wait_past_the_end_of_the_schedule() -> None:
    end = NOON + timedelta(seconds=60)
    assert retry_if_wanted(failed(), THREE, now=NOON, end=end) == failed()
    assert retry_if_wanted(failed(), THREE, now=NOON, end=end + timedelta(seconds=1)).attempt == 2


@pytest.mark.parametrize(
    ("code", "is_tried"), [("download_timeout", True), ("disk_full", True), ("health_check", False)]
)
def test_only_codes_that_match_a_pattern_are_tried_again(code: str, is_tried: bool) -> None:
    policy = replace(THREE, codes=("download_*", "disk_full"))
    assert (retry_if_wanted(failed(code), policy, now=NOON).attempt == 2) is is_tried


def test_silence_is_tried_again_only_where_it_is_asked_for() -> None:
    silent = make_rollout(DeviceId("gw-1"), S.TIMED_OUT)
    assert retry_if_wanted(silent, THREE, now=NOON) == silent
    assert retry_if_wanted(silent, replace(THREE, timed_out=True), now=NOON).attempt == 2


@given(st.sampled_from(sorted(set(S) - {S.FAILED, S.TIMED_OUT})))
def test_nothing_else_is_ever_tried_again_by_itself(state: RolloutState) -> None:
    rollout = make_rollout(DeviceId("gw-1"), state)
    assert retry_if_wanted(rollout, replace(THREE, timed_out=True), now=NOON) == rollout


@given(st.text("abc", min_size=1, max_size=8), st.floats(0, 1), st.integers(1, 10))
def test_the_jitter_lengthens_a_wait_by_its_share_at_most_and_is_the_devices_own(
    device: str, jitter: float, attempt: int
) -> None:
    policy = Retries(maximum=10, backoff_s=60, jitter=jitter)
    plain = wait_s(failed(attempt=attempt, device=device), replace(policy, jitter=0))
    waits = {wait_s(failed(attempt=attempt, device=device), policy) for _ in range(2)}
    assert len(waits) == 1
    assert plain <= waits.pop() <= plain * (1 + jitter) + 1e-6


@given(st.sampled_from(sorted(FINAL - {S.SKIPPED, S.CANCELLED, S.TIMED_OUT, S.REGRESSED})))
def test_a_late_report_of_the_attempt_before_moves_the_order_mark_and_nothing_else(state: RolloutState) -> None:
    again = open_attempt(failed(), retry_at=NOON, now=NOON)
    late = make_report(again.device, state, at=5, attempt=1, code="late")
    heard = fold_report(again, late, TARGET, now=NOON + timedelta(seconds=9))
    assert heard == replace(again, mark=late.mark)
