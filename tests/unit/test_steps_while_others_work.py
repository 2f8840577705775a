"""What waits for work that a campaign has in hand: looks for newcomers, edits, and the end of its schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.joining import is_look_due, join
from shared.domain.newcomers import Newcomers
from shared.domain.planning import Planning, PlanningPhase
from shared.domain.schedules import AtEnd, Schedule
from shared.domain.steps import Change, take_step
from shared.domain.targeting import Membership, Targeting
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.wave_edits import check_editable
from shared.domain.waves import WaveState
from tests.support.made_campaigns import make_campaign
from tests.support.rollouts import NOON

C, W = CampaignState, WaveState
SKIPPING = Walk(purpose=BatchPurpose.SKIP, last_wave=1)


def dynamic(state: CampaignState = C.RUNNING, wave: WaveState = W.RUNNING) -> Campaign:
    made = make_campaign([])
    spec = replace(made.spec, targeting=Targeting(membership=Membership.DYNAMIC))
    planned = replace(made, spec=spec, state=state, planning=Planning(phase=PlanningPhase.DONE))
    return planned.with_wave(replace(made.waves[0], state=wave))


def test_nobody_is_looked_for_while_batches_are_walked_through_or_others_are_about_to_join() -> None:
    assert is_look_due(dynamic(), now=NOON)
    assert not is_look_due(replace(dynamic(), walks=(SKIPPING,)), now=NOON)
    assert not is_look_due(replace(dynamic(), newcomers=Newcomers(page=7)), now=NOON)


@pytest.mark.parametrize(
    ("campaign", "is_let_go"),
    [(dynamic(), False), (dynamic(wave=W.SKIPPED), True), (dynamic(state=C.ABORTED), True)],
    ids=["goes on", "wave was skipped", "was given up"],
)
def test_who_was_about_to_join_is_let_go_where_nothing_is_offered_any_more(campaign: Campaign, is_let_go: bool) -> None:
    walks = join(campaign, 3, 1).walks
    assert [walk.purpose for walk in walks] == ([BatchPurpose.RECALL] if is_let_go else [])


@pytest.mark.parametrize(
    ("busy", "why"),
    [({"walks": (SKIPPING,)}, "still at work"), ({"newcomers": Newcomers(page=7)}, "are joining it")],
)
def test_waves_are_not_edited_under_somebodys_hands(busy: dict[str, object], why: str) -> None:
    paused = dynamic(state=C.PAUSED, wave=W.PENDING)
    check_editable(paused)
    with pytest.raises(Conflict, match=why):
        check_editable(replace(paused, **busy))  # type: ignore[arg-type]


def test_a_paused_campaign_is_due_when_its_schedule_cancels_it_and_not_before() -> None:
    """Due at once, it would be woken every minute until then."""
    end = NOON + timedelta(hours=1)
    rests = dynamic(state=C.PAUSED)
    rests = replace(rests, spec=replace(rests.spec, schedule=Schedule(end_at=end, at_end=AtEnd.CANCEL)))
    assert take_step(rests, Change(campaign=rests, due_at=NOON), now=NOON).step_due_at == end
    works = replace(rests, state=C.RUNNING)
    late = Change(campaign=works, due_at=end + timedelta(hours=1))
    assert take_step(works, late, now=NOON).step_due_at == end
