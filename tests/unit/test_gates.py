"""Gates judge a wave by its counters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.gates import Acknowledged, Counters, Decision, Gate, acknowledge, judge_wave
from shared.domain.rollouts import RolloutState

S = RolloutState

counters = st.dictionaries(st.sampled_from(list(S)), st.integers(0, 50)).map(lambda by: Counters(by_state=by))
percents = st.floats(0, 100)
gates = st.builds(
    Gate,
    success_percent=percents,
    failure_percent=st.none() | percents,
    failure_count=st.none() | st.integers(1, 20),
    silent_percent=st.none() | percents,
    minimum_completed=st.integers(1, 20),
)


def count(**by_state: int) -> Counters:
    return Counters(by_state={S(state): number for state, number in by_state.items()})


def decide(gate: Gate, found: Counters, acknowledged: Acknowledged | None = None) -> Decision:
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


def test_skipped_and_cancelled_devices_do_not_count() -> None:
    assert decide(Gate(), count(succeeded=3, skipped=40, cancelled=7)) is Decision.PASS
    assert decide(Gate(), count(skipped=40)) is Decision.PASS


def test_a_wave_that_ended_short_of_its_success_share_stops_and_says_so() -> None:
    gate = Gate(success_percent=90, failure_percent=50)
    verdict = judge_wave(gate, count(succeeded=8, failed=2))
    assert verdict.decision is Decision.STOP
    assert verdict.reason == "all 10 devices ended and only 8 succeeded (80 %, the gate asks 90 %)"


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
    assert decide(gate, found, acknowledge(found)) is not Decision.STOP


@given(gates, counters)
def test_a_failure_in_place_of_a_success_never_lifts_a_stop(gate: Gate, found: Counters) -> None:
    """Given enough ended devices for the percentages to count before and after."""
    before, after = decide(gate, found), decide(gate, found.moved(S.SUCCEEDED, S.FAILED))
    if found.of(S.SUCCEEDED) and found.ended >= gate.minimum_completed and before is Decision.STOP:
        assert after is Decision.STOP
