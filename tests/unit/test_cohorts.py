"""Cohorts: counted with the rows, bounded whatever devices say, and held back where failures cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.cohorts import (
    MAX_COHORTS,
    MAX_ENDS,
    OTHER_END,
    OTHERS,
    Cohort,
    CohortCounts,
    End,
    Quarantine,
    Quarantined,
    find_clusters,
    quarantined_failures,
)
from shared.domain.gates import Gate
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.verdicts import Decision, judge_wave
from shared.wire.cohort_rows import read_cohorts, write_cohorts
from shared.wire.http_campaigns import read_campaign_request
from shared.wire.http_fields import InvalidRequest
from tests.support.memory_rollouts import counters_of
from tests.support.rollouts import make_rollout

S = RolloutState
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MK2 = Cohort(hardware="mk2", version="1.0")
BAD_HEALTH = End(state=S.FAILED, code="health")


def row(state: RolloutState, code: str = "", hardware: str = "mk2", version: str = "1.0") -> Rollout:
    return make_rollout(state=state, code=code, hardware=hardware, former_version=version)


def counted(*rows: Rollout) -> CohortCounts:
    counts = CohortCounts()
    for each in rows:
        counts = counts.moved(None, each)
    return counts


rows = st.builds(
    row,
    st.sampled_from(list(S)),
    st.sampled_from(["", "health", "disk"]),
    st.sampled_from(["mk2", "mk3"]),
    st.sampled_from(["", "1.0"]),
)


@given(st.lists(st.lists(rows, min_size=1, max_size=6), max_size=20))
def test_counts_equal_the_rows_however_they_came_to_be(lives: list[list[Rollout]]) -> None:
    """I3: each list is what one row was, one after the other."""
    counts = CohortCounts()
    for life in lives:
        for before, after in pairwise([None, *life]):
            assert after is not None
            counts = counts.moved(before, after)
    last = counted(*(life[-1] for life in lives))
    places = [(cohort, end) for cohort, ends in counts.ends.items() for end in ends]
    assert {place: counts.of(*place) for place in places if counts.of(*place)} == {
        (cohort, end): count for cohort, ends in last.ends.items() for end, count in ends.items()
    }
    assert read_cohorts(write_cohorts(counts)) == counts


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60)), max_size=120))
def test_devices_that_make_words_up_fill_no_table(said: list[tuple[str, str, str]]) -> None:
    failed = [row(S.FAILED, code, hardware, version) for hardware, version, code in said]
    counts = counted(*failed)
    assert len(counts.ends) <= MAX_COHORTS + 1
    assert all(len(ends) <= MAX_ENDS + 1 for ends in counts.ends.values())
    assert sum(counts.ended(cohort) for cohort in counts.ends) == len(said)
    for each in failed:
        counts = counts.moved(each, row(S.PLANNED))
    assert all(counts.ended(cohort) == 0 for cohort in counts.ends)


def test_an_end_that_had_room_is_counted_by_itself_when_others_have_none() -> None:
    words = [str(number) for number in range(MAX_ENDS + 1)]
    counts = counted(*(row(S.FAILED, code) for code in words), row(S.FAILED, words[0]))
    assert counts.of(MK2, End(state=S.FAILED, code=words[0])) == 2
    assert counts.of(MK2, End(state=S.FAILED, code=words[-1])) == 0
    assert counts.of(MK2, OTHER_END) == 1


def test_as_many_words_as_are_kept_fit_a_table_property() -> None:
    wide = "\u20ac" * 200
    made_up = [
        row(S.FAILED, f"{end:02}{wide}", f"{cohort:02}{wide}", wide)
        for cohort in range(MAX_COHORTS + 5)
        for end in range(MAX_ENDS + 5)
    ]
    counts = counted(*made_up)
    assert len(write_cohorts(counts)) < 32_000
    crowded = Quarantine(minimum=1, failure_percent=1)
    assert OTHERS in counts.ends
    assert OTHERS not in {each.cohort for each in find_clusters(crowded, counts, (), now=NOW)}


def find(counts: CohortCounts, known: tuple[Quarantined, ...] = ()) -> list[tuple[Cohort, End]]:
    quarantine = Quarantine(minimum=3, failure_percent=50)
    return [(each.cohort, each.end) for each in find_clusters(quarantine, counts, known, now=NOW)]


def test_failures_of_one_code_in_one_cohort_hold_it_back() -> None:
    failures = [row(S.FAILED, "health")] * 3
    good = [row(S.SUCCEEDED, hardware="mk3")] * 20
    assert find(counted(*failures, *good)) == [(MK2, BAD_HEALTH)]


def test_exactly_the_share_that_is_asked_for_is_a_cluster() -> None:
    counts = CohortCounts(ends={MK2: {BAD_HEALTH: 161, End(state=S.SUCCEEDED): 89}})
    asked = Quarantine(minimum=3, failure_percent=64.4)
    assert [each.failures for each in find_clusters(asked, counts, (), now=NOW)] == [161]


@pytest.mark.parametrize(
    "others",
    [
        [row(S.FAILED, "health")] * 2,
        [row(S.FAILED, "health")] * 2 + [row(S.FAILED, "disk")],
        [row(S.FAILED, "health")] * 2 + [row(S.FAILED, "health", version="2.0")],
        [row(S.FAILED, "health")] * 2 + [row(S.FAILED, "health", hardware="mk3")],
        [row(S.FAILED, "health")] * 3 + [row(S.SUCCEEDED)] * 4,
        [row(S.TIMED_OUT)] * 9,
    ],
    ids=["too few", "other codes", "other versions", "other hardware", "most are well", "silence says nothing"],
)
def test_what_is_no_cluster_holds_nobody_back(others: list[Rollout]) -> None:
    assert find(counted(*others)) == []


def test_a_cohort_is_held_back_once_for_each_end() -> None:
    counts = counted(*[row(S.FAILED, "health")] * 3, *[row(S.REJECTED, "incompatible")] * 3)
    known = tuple(find_clusters(Quarantine(), counts, (), now=NOW))
    assert {each.end.state for each in known} == {S.FAILED, S.REJECTED}
    assert find(counts, known) == []


def test_what_a_cohort_is_held_back_for_leaves_the_gates_count_and_nothing_else_does() -> None:
    ended = [row(S.FAILED, "health")] * 3 + [row(S.FAILED, "disk")] + [row(S.SUCCEEDED, hardware="mk3")] * 6
    counts, counters = counted(*ended), counters_of(ended)
    known = tuple(find_clusters(Quarantine(minimum=3), counts, (), now=NOW))
    left_out = quarantined_failures(counts, known)
    assert left_out.of(S.FAILED) == 3
    gate = Gate(success_percent=80, failure_percent=20)
    assert judge_wave(gate, counters).decision is Decision.STOP
    verdict = judge_wave(gate, counters, left_out)
    assert (verdict.decision, verdict.counted, verdict.failures) == (Decision.PASS, 7, 1)


REQUEST = {"name": "n", "package": {"name": "p", "version": "1"}, "targets": {"devices": ["d"]}}
PATIENT = {"failure_percent": 20}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"quarantine": {}}, "quarantine.minimum: the gate of wave 1 stops"),
        ({"quarantine": {}, "gate": PATIENT | {"failure_count": 2}}, "quarantine.minimum"),
        ({"quarantine": {"minimum": 0}, "gate": PATIENT}, "quarantine.minimum"),
        ({"quarantine": {"failure_percent": 0}, "gate": PATIENT}, "quarantine.failure_percent"),
        ({"quarantine": {"failure_percent": 101}, "gate": PATIENT}, "quarantine.failure_percent"),
        ({"quarantine": {"colour": 1}, "gate": PATIENT}, "quarantine.colour"),
    ],
)
def test_a_quarantine_that_cannot_be_is_refused_with_its_field(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        read_campaign_request(json.dumps(REQUEST | fields).encode())


def test_a_quarantine_is_off_unless_asked_for() -> None:
    assert read_campaign_request(json.dumps(REQUEST).encode()).to_spec().quarantine is None
    body = REQUEST | {"quarantine": {"minimum": 5}, "gate": PATIENT}
    spec = read_campaign_request(json.dumps(body).encode()).to_spec()
    assert spec.quarantine == Quarantine(minimum=5, failure_percent=50)
