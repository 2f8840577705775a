"""Who gets a device that two campaigns want: a rule that both agree on, and that lets no circle of waits close."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.conflicts import (
    Contender,
    OnConflict,
    Precedence,
    Settlement,
    is_waiting,
    settle_conflict,
    waits_for,
)
from shared.domain.ids import CampaignId
from shared.domain.pacing import LONG_AGO, Budget, note_urgency, yields_until
from shared.domain.rollouts import PROGRESS, Rollout, RolloutState
from shared.wire.http_campaigns import read_campaign_request
from shared.wire.http_fields import InvalidRequest
from tests.support.rollouts import make_rollout

S, W, P = RolloutState, OnConflict, Settlement
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=7)


def contender(name: str, on_conflict: OnConflict = W.SKIP, priority: int = 500, age_s: float = 0) -> Contender:
    created_at = NOW - timedelta(seconds=age_s)
    return Contender(
        id=CampaignId(name), created_at=created_at, precedence=Precedence(priority=priority, on_conflict=on_conflict)
    )


def row(state: RolloutState, *, sent: bool = True, changed_at: datetime = NOW) -> Rollout:
    return make_rollout(state=state, sent_at=NOW if sent and state is not S.PLANNED else None, changed_at=changed_at)


def settle(
    ours: Contender, holder: Contender, held: Rollout | None, *, in_hand: bool = False, now: datetime = NOW
) -> Settlement:
    return settle_conflict(ours, holder, held, in_hand=in_hand, now=now, gives_up_at=LATER)


OLD, HIGH = contender("old", age_s=60), contender("high", W.SUPERSEDE, 900)


@pytest.mark.parametrize("state", PROGRESS)
def test_a_campaign_that_skips_waits_for_nobody(state: RolloutState) -> None:
    assert settle(contender("ours", priority=1000), OLD, row(state)) is P.SKIP


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (S.PLANNED, P.SUPERSEDE),
        (S.OFFERED, P.SUPERSEDE),
        (S.DOWNLOADING, P.SUPERSEDE),
        (S.DOWNLOADED, P.SUPERSEDE),
        (S.INSTALLING, P.WAIT),
        (S.RESTARTING, P.WAIT),
    ],
)
def test_a_device_is_taken_until_it_installs(state: RolloutState, expected: Settlement) -> None:
    assert settle(HIGH, OLD, row(state)) is expected


@pytest.mark.parametrize("priority", [900, 901])
def test_nothing_is_taken_from_an_equal_or_a_higher_campaign(priority: int) -> None:
    holder = contender("old", age_s=60, priority=priority)
    assert settle(HIGH, holder, row(S.OFFERED)) is P.WAIT


def test_an_offer_that_may_be_in_somebodys_hands_is_waited_for() -> None:
    assert settle(HIGH, OLD, row(S.OFFERED), in_hand=True) is P.WAIT
    assert settle(HIGH, OLD, row(S.OFFERED)) is P.SUPERSEDE


def test_a_device_is_given_up_after_the_time_a_device_may_take() -> None:
    """I8: every state has a deadline."""
    for ours in (contender("ours", W.WAIT), HIGH):
        assert settle(ours, OLD, row(S.INSTALLING), now=LATER) is P.SKIP


def test_a_younger_campaign_is_waited_for_once_its_row_ends_by_itself() -> None:
    """One that was offered has a deadline, and so has one that tries again; one that is only planned has none."""
    ours, young = contender("ours", W.WAIT, age_s=60), contender("young")
    assert settle(ours, young, row(S.PLANNED)) is P.SKIP
    assert settle(ours, young, row(S.OFFERED)) is P.WAIT
    assert settle(ours, young, make_rollout(state=S.PLANNED, retry_at=NOW)) is P.WAIT


@given(st.data())
def test_no_two_campaigns_wait_for_rows_of_each_other_that_are_only_planned(data: st.DataObject) -> None:
    """What is only planned ends when its campaign's gates allow: a circle of such waits would never end."""
    words = st.sampled_from(list(W))
    ages, priorities = st.integers(0, 2), st.integers(0, 1000)
    one, two = (contender(name, data.draw(words), data.draw(priorities), data.draw(ages)) for name in ("one", "two"))
    planned = data.draw(st.sampled_from([row(S.PLANNED), None]))
    assert [settle(one, two, planned), settle(two, one, planned)].count(P.WAIT) <= 1


def test_only_a_planned_row_waits() -> None:
    code = waits_for(CampaignId("other"))
    assert is_waiting(make_rollout(state=S.PLANNED, code=code))
    assert not is_waiting(make_rollout(state=S.PLANNED))
    assert not is_waiting(make_rollout(state=S.CANCELLED, code=code))


REQUEST = {"name": "n", "package": {"name": "p", "version": "1"}, "targets": {"devices": ["d"]}}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"priority": -1}, "priority"),
        ({"priority": 1001}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"on_conflict": "fight"}, "on_conflict"),
        ({"on_conflict": "supersede", "priority": 0}, "on_conflict"),
    ],
)
def test_a_precedence_that_cannot_be_is_refused_with_its_field(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        read_campaign_request(json.dumps(REQUEST | fields).encode())


def test_whoever_says_nothing_skips_at_the_middle_priority() -> None:
    assert read_campaign_request(json.dumps(REQUEST).encode()).to_spec().precedence == Precedence()


def budget() -> Budget:
    return Budget(rate_per_s=50, ceiling_per_s=50, next_free_at=LONG_AGO, adjusted_at=LONG_AGO)


def test_lower_campaigns_leave_the_hub_to_a_higher_one_that_has_not_enough_of_it() -> None:
    soon = NOW + timedelta(seconds=50)
    wanted = note_urgency(budget(), 700, soon, now=NOW)
    assert yields_until(wanted, 500, now=NOW) == soon + timedelta(seconds=5)
    assert [yields_until(wanted, priority, now=NOW) for priority in (700, 900, None)] == [None] * 3
    assert yields_until(wanted, 500, now=soon + timedelta(seconds=5)) is None, "one that died keeps nobody waiting"
    satisfied = note_urgency(wanted, 700, None, now=soon)
    assert yields_until(satisfied, 500, now=NOW) is None
    assert note_urgency(wanted, 900, None, now=NOW) == wanted, "another's wish is not its to take back"
    assert note_urgency(wanted, None, None, now=NOW) == wanted
