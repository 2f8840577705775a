"""Why devices were skipped is counted as their rows are, and verdicts can be derived again from what was kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.cohorts import Tally
from shared.domain.gates import Counters, Gate, acknowledge
from shared.domain.rollouts import DEVICE_NOT_FOUND, Rollout, RolloutState
from shared.domain.skips import SkipCounts, SkipReason, count_skips, reason_of
from shared.domain.verdicts import Decision, judge_wave
from shared.wire.audit_verdicts import VerdictFacts, derive_verdict, read_verdict_facts, write_verdict_facts
from shared.wire.rollout_rows import read_tally, write_tally
from tests.support.memory_rollouts import counters_of
from tests.support.rollouts import CAMPAIGN, make_rollout
from tests.unit.test_gates import counters, gates

S = RolloutState
CODES = [DEVICE_NOT_FOUND, "device_deleted", "current", "held_by:other", "no_package", "quarantined", "", "of later"]

reasons = st.dictionaries(st.sampled_from(SkipReason), st.integers(1, 50)).map(lambda by: SkipCounts(by_reason=by))


@st.composite
def rows(draw: st.DrawFn) -> Rollout:
    state = draw(st.sampled_from([S.PLANNED, S.OFFERED, S.SUCCEEDED, S.SKIPPED, S.SKIPPED]))
    return make_rollout("gw-1", state, code=draw(st.sampled_from(CODES)) if state is S.SKIPPED else "")


@pytest.mark.parametrize(
    ("code", "reason"),
    [("held_by:c1", SkipReason.HELD), (DEVICE_NOT_FOUND, SkipReason.NOT_FOUND), ("of later", SkipReason.OTHER)],
)
def test_a_reason_is_what_stands_before_the_colon_of_the_code(code: str, reason: SkipReason) -> None:
    assert reason_of(make_rollout("gw-1", S.SKIPPED, code=code)) is reason
    assert reason_of(make_rollout("gw-1", S.FAILED, code=code)) is None


@given(st.lists(st.tuples(rows(), rows())))
def test_the_tally_equals_the_rows_whatever_they_become_and_wherever_they_go(
    changes: list[tuple[Rollout, Rollout]],
) -> None:
    """I3, for the reasons too; and a counters row is read back as it was written."""
    tally = Tally()
    for before, after in changes:
        tally = tally.moved(None, before).moved(before, after)
    now = [after for _, after in changes]
    assert tally.skips == count_skips(now)
    assert tally.skips.total == tally.counters.of(S.SKIPPED) == counters_of(now).of(S.SKIPPED)
    assert read_tally(write_tally(tally, CAMPAIGN, 0, 1)).skips == tally.skips
    gone, kept = now[::2], now[1::2]
    assert tally.left_by(gone).skips == count_skips(kept)
    assert Tally().joined_by(gone).skips == count_skips(gone)
    assert tally.left_by(gone).skips + Tally().joined_by(gone).skips == tally.skips


def test_a_counters_row_from_before_reasons_were_counted_is_read_and_never_counts_below_none() -> None:
    lost = make_rollout("gw-1", S.SKIPPED, code=DEVICE_NOT_FOUND)
    row = write_tally(Tally().moved(None, lost), CAMPAIGN, 0, 1)
    tally = read_tally({column: value for column, value in row.items() if not column.startswith("skipped_")})
    assert (tally.counters.of(S.SKIPPED), tally.skips.total) == (1, 0)
    assert tally.left_by([lost]).skips == SkipCounts()


@given(gates, counters, counters, reasons)
def test_a_verdict_follows_from_its_facts_as_they_are_kept(
    gate: Gate, found: Counters, ok: Counters, skips: SkipCounts
) -> None:
    acknowledged = acknowledge(ok)
    verdict = judge_wave(gate, found, acknowledged, skips=skips)
    facts = VerdictFacts(
        wave=1, gate=gate, counters=found, acknowledged=acknowledged, verdict=verdict, unknown=9, skips=skips
    )
    kept = read_verdict_facts(json.loads(json.dumps(write_verdict_facts(facts))))
    assert derive_verdict(kept) == kept.verdict
    assert kept.verdict.decision is verdict.decision


def of_before(unknown: int, decision: str, reason: str, said: str, share: float) -> dict[str, Any]:
    """Facts as they were written before reasons were counted, over five devices that were all skipped."""
    limits = {"rejected_percent": None, "rejected_count": None, "silent_percent": 10.0, "silent_count": None}
    gate = {"success_percent": 100.0, "success_count": None, "failure_percent": 0.0, "failure_count": None, **limits}
    success = {"rule": "success_percent", "seen": share, "judged": share, "limit": 100.0, "holds": share > 0}
    bad = {"seen": 0.0, "judged": 0.0, "holds": False}
    failed = "0 of 0 devices failed (0 %, the gate allows 0 %)"
    silent = "0 of 0 devices stayed silent (0 %, the gate allows 10 %)"
    checks = [
        success | {"reason": said},
        bad | {"rule": "failure_percent", "limit": 0.0, "reason": failed},
        bad | {"rule": "silent_percent", "limit": 10.0, "reason": silent},
    ]
    numbers = dict.fromkeys(("counted", "ended", "succeeded", "failures", "silent", "acknowledged"), 0)
    return {
        "wave": 1,
        "gate": gate | {"minimum_completed": 1, "confidence_percent": None, "soak_s": 0.0, "on_stop": "pause"},
        "counters": {"by_state": {"skipped": 5}},
        "acknowledged": {"by_state": {}},
        "verdict": {"decision": decision, "reason": reason, **numbers, "checks": checks},
        "unknown": unknown,
    }


NONE_KNOWN = "IoT Hub knows none of the 5 devices (device_not_found); look at the ids, or skip the wave"
NOBODY_LEFT = "no device is left to count: all were skipped, cancelled or acknowledged"


@pytest.mark.parametrize(
    ("document", "decision"),
    [
        (of_before(5, "stop", f"all 0 devices ended: {NONE_KNOWN}", NONE_KNOWN, 0.0), Decision.STOP),
        (of_before(0, "pass", NOBODY_LEFT, NOBODY_LEFT, 100.0), Decision.PASS),
    ],
)
def test_verdicts_from_before_reasons_were_counted_still_follow_from_their_facts(
    document: dict[str, Any], decision: Decision
) -> None:
    facts = read_verdict_facts(document)
    assert facts.verdict.decision is decision
    assert derive_verdict(facts) == facts.verdict
    without = {name: value for name, value in document.items() if name != "unknown"}
    older = read_verdict_facts(without)
    assert (derive_verdict(older) == older.verdict) is (decision is Decision.PASS)


def test_facts_whose_reasons_were_changed_afterwards_do_not_hold() -> None:
    skips = SkipCounts(by_reason={SkipReason.NOT_FOUND: 1, SkipReason.HELD: 4})
    found = Counters(by_state={S.SKIPPED: 5})
    verdict = judge_wave(Gate(), found, Counters(), skips=skips)
    facts = VerdictFacts(wave=1, gate=Gate(), counters=found, acknowledged=Counters(), verdict=verdict, skips=skips)
    assert derive_verdict(facts) == verdict
    forged = replace(facts, skips=SkipCounts(by_reason={SkipReason.CURRENT: 1, SkipReason.HELD: 4}))
    assert derive_verdict(forged).decision is Decision.PASS
    assert derive_verdict(forged) != verdict
