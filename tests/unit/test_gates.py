"""Gates judge a wave by its counters."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.confidence import wilson_interval
from shared.domain.gates import Counters, Gate, acknowledge
from shared.domain.rollouts import RolloutState
from shared.domain.skips import LOST, SkipCounts, SkipReason
from shared.domain.verdicts import Decision, judge_wave

S = RolloutState

counters = st.dictionaries(st.sampled_from(list(S)), st.integers(0, 50)).map(lambda by: Counters(by_state=by))
percents = st.floats(0, 100)
gates = st.builds(
    Gate,
    success_percent=percents,
    success_count=st.none() | st.integers(1, 60),
    failure_percent=st.none() | percents,
    failure_count=st.none() | st.integers(1, 20),
    rejected_percent=st.none() | percents,
    rejected_count=st.none() | st.integers(1, 20),
    silent_percent=st.none() | percents,
    silent_count=st.none() | st.integers(1, 20),
    confidence_percent=st.none() | st.floats(50, 99.9),
    minimum_completed=st.integers(1, 20),
)


def count(**by_state: int) -> Counters:
    return Counters(by_state={S(state): number for state, number in by_state.items()})


def skipped(**by_reason: int) -> SkipCounts:
    return SkipCounts(by_reason={SkipReason[reason.upper()]: number for reason, number in by_reason.items()})


def decide(gate: Gate, found: Counters, acknowledged: Counters | None = None) -> Decision:
    return judge_wave(gate, found, acknowledged).decision


def test_a_wave_passes_once_its_share_succeeded() -> None:
    gate = Gate(success_percent=80)
    assert decide(gate, count(succeeded=7, offered=3)) is Decision.WAIT
    assert decide(gate, count(succeeded=8, offered=2)) is Decision.PASS


def test_a_wave_does_not_pass_while_a_device_waits_for_its_offer() -> None:
    """Else the campaign could end with rows that nobody will ever offer anything."""
    assert decide(Gate(success_percent=0), count(planned=1)) is Decision.WAIT
    assert decide(Gate(success_percent=80), count(succeeded=8, planned=2)) is Decision.WAIT
    assert decide(Gate(success_percent=0), count(offered=1)) is Decision.PASS


def test_failures_stop_it_by_share_and_by_number() -> None:
    gate = Gate(success_percent=80, failure_percent=10)
    assert decide(gate, count(succeeded=9, failed=1)) is Decision.PASS
    assert decide(gate, count(succeeded=8, failed=1, rejected=1)) is Decision.STOP
    assert decide(Gate(failure_percent=None, failure_count=2), count(failed=1, offered=99)) is Decision.WAIT
    assert decide(Gate(failure_percent=None, failure_count=2), count(regressed=2, offered=98)) is Decision.STOP


def test_silence_has_a_threshold_of_its_own() -> None:
    """I8: a device that never answers is not one that failed."""
    gate = Gate(success_percent=50, silent_percent=20, failure_percent=0)
    assert decide(gate, count(timed_out=2, succeeded=8)) is Decision.PASS
    assert decide(gate, count(timed_out=3, succeeded=7)) is Decision.STOP


def test_no_percentage_stops_a_wave_before_enough_devices_ended() -> None:
    gate = Gate(failure_percent=5, minimum_completed=10)
    assert decide(gate, count(failed=9, offered=91)) is Decision.WAIT
    assert decide(gate, count(failed=10, offered=90)) is Decision.STOP


def test_a_wave_that_others_left_until_it_is_smaller_than_the_minimum_is_judged_all_the_same() -> None:
    gate = Gate(success_percent=0, failure_percent=5, minimum_completed=10)
    assert decide(gate, count(failed=6, skipped=4)) is Decision.STOP
    assert decide(gate, count(failed=5, offered=1, skipped=4)) is Decision.PASS, "the sixth has not ended yet"


def test_skipped_and_cancelled_devices_do_not_count() -> None:
    assert decide(Gate(), count(succeeded=3, skipped=40, cancelled=7)) is Decision.PASS
    assert decide(Gate(), count(skipped=40)) is Decision.PASS


def test_a_wave_that_ended_short_of_its_success_share_stops_and_says_so() -> None:
    gate = Gate(success_percent=90, failure_percent=50)
    verdict = judge_wave(gate, count(succeeded=8, failed=2))
    assert verdict.decision is Decision.STOP
    assert verdict.reason == "all 10 devices ended: 8 of 10 devices succeeded (80 %, the gate asks 90 %)"


def test_acknowledged_failures_stop_nothing_again_but_new_ones_do() -> None:
    before = count(failed=2, timed_out=1, offered=7)
    accepted = acknowledge(before)
    assert decide(Gate(), before) is Decision.STOP
    assert decide(Gate(), before, accepted) is Decision.WAIT
    assert decide(Gate(), count(failed=2, timed_out=1, succeeded=7), accepted) is Decision.PASS
    assert decide(Gate(), count(failed=3, timed_out=1, offered=6), accepted) is Decision.STOP


def test_a_silent_device_that_was_acknowledged_and_reports_late_counts_again() -> None:
    accepted = acknowledge(count(timed_out=2, succeeded=8))
    assert decide(Gate(), count(timed_out=1, failed=1, succeeded=8), accepted) is Decision.STOP
    assert decide(Gate(), count(timed_out=1, succeeded=9), accepted) is Decision.PASS


@given(gates, counters)
def test_every_verdict_has_a_reason_and_a_wave_where_all_ended_never_waits(gate: Gate, found: Counters) -> None:
    verdict = judge_wave(gate, found)
    assert verdict.reason
    if found.ended == found.counted:
        assert verdict.decision is not Decision.WAIT


@given(gates, counters)
def test_what_was_just_acknowledged_never_stops(gate: Gate, found: Counters) -> None:
    assume(found.counted or not found.of(S.CANCELLED))
    assert decide(gate, found, acknowledge(found)) is not Decision.STOP


@given(gates, counters)
def test_a_failure_in_place_of_a_success_never_lifts_a_stop(gate: Gate, found: Counters) -> None:
    """Given enough ended devices for the percentages to count before and after."""
    before, after = decide(gate, found), decide(gate, found.moved(S.SUCCEEDED, S.FAILED))
    if found.of(S.SUCCEEDED) and found.ended >= gate.minimum_completed and before is Decision.STOP:
        assert after is Decision.STOP


def test_rejections_and_silence_are_counted_on_their_own() -> None:
    lenient = Gate(success_percent=0, failure_percent=None, silent_percent=None, rejected_count=2)
    assert decide(lenient, count(failed=50, rejected=1, offered=9)) is Decision.PASS
    assert decide(lenient, count(failed=1, rejected=2, offered=9)) is Decision.STOP
    quiet = Gate(success_percent=0, failure_percent=None, silent_percent=None, silent_count=3)
    assert decide(quiet, count(timed_out=2, failed=5)) is Decision.PASS
    assert decide(quiet, count(timed_out=3, failed=5)) is Decision.STOP


def test_a_number_of_successes_is_enough_where_the_gate_says_so() -> None:
    gate = Gate(success_count=50)
    assert decide(gate, count(succeeded=49, offered=51)) is Decision.WAIT
    assert decide(gate, count(succeeded=50, offered=50)) is Decision.PASS
    assert decide(gate, count(succeeded=10)) is Decision.PASS, "all of a small wave succeeded"


def test_one_of_three_proves_little_and_thirty_of_a_thousand_prove_enough() -> None:
    gate = Gate(success_percent=0, failure_percent=2, confidence_percent=95)
    assert decide(gate, count(failed=1, succeeded=2)) is Decision.PASS
    verdict = judge_wave(gate, count(failed=30, succeeded=970))
    assert verdict.decision is Decision.STOP
    assert verdict.reason == (
        "30 of 1000 devices failed so far (3 %, at 95 % confidence at least 2.1 %, the gate allows 2 %)"
    )
    assert decide(replace(gate, confidence_percent=None), count(failed=1, succeeded=2)) is Decision.STOP


def test_in_a_small_wave_it_does_not_matter_which_device_ends_first() -> None:
    gate = Gate(success_percent=0, failure_percent=2, confidence_percent=95)
    assert decide(gate, count(failed=1, planned=2)) is Decision.WAIT
    assert decide(gate, count(failed=1, planned=999)) is Decision.WAIT
    assert decide(gate, count(failed=3, planned=997)) is Decision.STOP, "three failures and no success"
    assert decide(gate, count(failed=3, succeeded=200, planned=797)) is Decision.WAIT


def test_with_confidence_a_small_wave_is_not_stopped_for_a_share_it_cannot_disprove() -> None:
    gate = Gate(success_percent=95, failure_percent=None, confidence_percent=95)
    verdict = judge_wave(gate, count(failed=1, succeeded=2))
    assert verdict.decision is Decision.PASS
    assert "may stand for 98.2 %" in verdict.reason
    assert decide(gate, count(failed=100, succeeded=900)) is Decision.STOP
    assert decide(gate, count(failed=1, succeeded=2, offered=1)) is Decision.WAIT


def test_a_wave_of_nobody_passes_and_says_why() -> None:
    verdict = judge_wave(Gate(), count(skipped=40))
    assert verdict.decision is Decision.PASS
    assert verdict.reason == "no device is left to count: all were skipped, cancelled or acknowledged"


def test_a_wave_of_devices_that_do_not_exist_does_not_pass() -> None:
    verdict = judge_wave(Gate(success_percent=0), count(skipped=40), skips=skipped(not_found=40))
    assert verdict.decision is Decision.STOP
    assert "IoT Hub knows none of the 40 devices (device_not_found)" in verdict.reason


@pytest.mark.parametrize(
    ("found", "why", "decision"),
    [
        (count(skipped=41), {"not_found": 40, "current": 1}, Decision.PASS),
        (count(skipped=41), {"not_found": 40, "held": 1}, Decision.STOP),
        (count(skipped=41), {"not_found": 1, "no_package": 40}, Decision.STOP),
        (count(skipped=2), {"deleted": 1, "held": 1}, Decision.STOP),
        (count(skipped=2), {"held": 1, "no_package": 1}, Decision.PASS),
        (count(skipped=40, succeeded=1), {"not_found": 40}, Decision.PASS),
        (count(skipped=40, planned=1), {"not_found": 40}, Decision.WAIT),
        (count(skipped=40, failed=1), {"not_found": 40}, Decision.STOP),
    ],
)
def test_a_wave_that_lost_all_who_were_to_try_passes_only_where_the_package_runs_already(
    found: Counters, why: dict[str, int], decision: Decision
) -> None:
    assert judge_wave(Gate(), found, skips=skipped(**why)).decision is decision


def test_who_is_missing_from_a_wave_of_nobody_is_told() -> None:
    verdict = judge_wave(Gate(), count(skipped=6), skips=skipped(not_found=3, held=2, deleted=1))
    assert verdict.reason == (
        "all 0 devices ended: nobody tried the package: of 6 devices, 3 not known to IoT Hub (device_not_found), "
        "1 deleted in IoT Hub, 2 held by other campaigns; look at who is missing, or skip the wave"
    )
    assert verdict.skips == skipped(not_found=3, held=2, deleted=1)


@given(gates, st.dictionaries(st.sampled_from(SkipReason), st.integers(1, 50), min_size=1))
def test_of_a_wave_in_which_all_were_skipped_only_the_reasons_decide(gate: Gate, why: dict[SkipReason, int]) -> None:
    skips = SkipCounts(by_reason=why)
    verdict = judge_wave(gate, count(skipped=skips.total), skips=skips)
    is_lost = bool(skips.of(*LOST)) and not skips.of(SkipReason.CURRENT)
    assert verdict.decision is (Decision.STOP if is_lost else Decision.PASS)


@given(gates, counters, st.dictionaries(st.sampled_from(SkipReason), st.integers(1, 50)))
def test_where_somebody_is_left_to_count_it_makes_no_difference_who_is_missing(
    gate: Gate, found: Counters, why: dict[SkipReason, int]
) -> None:
    assume(found.counted)
    verdict = judge_wave(gate, found, skips=SkipCounts(by_reason=why))
    assert replace(verdict, skips=None) == judge_wave(gate, found)


@given(gates, counters, st.dictionaries(st.sampled_from(SkipReason), st.integers(1, 50)), st.sampled_from(SkipReason))
def test_one_lost_device_more_lets_no_wave_pass_that_did_not(
    gate: Gate, found: Counters, why: dict[SkipReason, int], reason: SkipReason
) -> None:
    before = judge_wave(gate, found, skips=SkipCounts(by_reason=why)).decision
    more = SkipCounts(by_reason=why) + SkipCounts(by_reason={reason: 1})
    after = judge_wave(gate, found.moved(None, S.SKIPPED), skips=more).decision
    if reason in LOST:
        assert after is before or after is Decision.STOP
    if reason is SkipReason.CURRENT:
        assert after is before or before is Decision.STOP


@given(st.integers(0, 300), st.integers(1, 300), st.floats(50, 99.9))
def test_the_interval_holds_the_share_and_narrows_with_more_devices(count: int, of: int, level: float) -> None:
    count = min(count, of)
    low, high = wilson_interval(count, of, level)
    assert 0 <= low <= count / of <= high <= 1
    wider_low, wider_high = wilson_interval(count, of, min(99.95, level + (100 - level) / 2))
    assert wider_low <= low
    assert high <= wider_high
    low_of_ten, high_of_ten = wilson_interval(10 * count, 10 * of, level)
    assert low <= low_of_ten + 1e-9
    assert high_of_ten <= high + 1e-9


def test_the_interval_agrees_with_published_figures() -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29 at 95 %."""
    published = {
        (81, 263): (0.2535, 0.3682),
        (15, 148): (0.0598, 0.1644),
        (0, 20): (0, 0.2005),
        (1, 29): (0.0018, 0.1963),
    }
    for (found, of), (low, high) in published.items():
        assert wilson_interval(found, of, 95) == pytest.approx((low, high), abs=1e-4)


@given(gates, counters, counters)
def test_a_verdict_shows_every_limit_and_only_a_limit_that_holds_stops(
    gate: Gate, found: Counters, ok: Counters
) -> None:
    verdict = judge_wave(gate, found, acknowledge(ok))
    limits = {check.rule for check in verdict.checks}
    asked = {
        name for name, value in asdict(gate).items() if name.endswith(("_percent", "_count")) and value is not None
    }
    assert limits == asked - {"confidence_percent"}
    exceeded = [check for check in verdict.checks if check.holds and not check.rule.startswith("success_")]
    assert bool(exceeded) <= (verdict.decision is Decision.STOP)
