"""A row is taken from its campaign only once nobody can be about to write its device's twin."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import DeviceId
from shared.domain.in_hand import IN_HAND_FOR, is_in_hand
from shared.domain.reversions import Reversion
from shared.domain.rollouts import PROGRESS, RolloutState
from shared.domain.schedules import Schedule
from shared.domain.waves import WaveState
from tests.support.made_campaigns import make_campaign
from tests.support.rollouts import NOON, make_rollout

S, C = RolloutState, CampaignState
MOMENT = timedelta(seconds=1)
LONG = timedelta(days=3)


def holder(state: CampaignState = C.RUNNING, **fields: Any) -> Campaign:
    return replace(make_campaign([DeviceId("gw-1")]), state=state, **fields)


def in_hand(campaign: Campaign, after: timedelta, state: RolloutState = S.OFFERED, **row: Any) -> bool:
    return is_in_hand(campaign, make_rollout(state=state, **row), now=NOON + after)


@pytest.mark.parametrize("state", [C.RUNNING, C.AWAITING_APPROVAL, C.COMPLETED])
def test_an_offer_that_nobody_stamped_is_in_hand_as_long_as_its_campaign_offers(state: CampaignState) -> None:
    """It is dispatched again and again: the function that has it may have begun a moment ago, whatever its age."""
    assert in_hand(holder(state), LONG)
    assert not in_hand(holder(state), LONG, sent_at=NOON)


def test_an_offer_that_a_pause_left_unsent_is_free_once_nobody_from_before_it_lives() -> None:
    paused = holder(C.PAUSED)
    assert in_hand(paused, IN_HAND_FOR - MOMENT)
    assert not in_hand(paused, IN_HAND_FOR)


def test_so_is_one_behind_the_schedules_end_or_in_a_skipped_wave() -> None:
    ended = holder(C.COMPLETED)
    ended = replace(ended, spec=replace(ended.spec, schedule=Schedule(end_at=NOON)))
    skipped = holder()
    skipped = skipped.with_wave(replace(skipped.waves[0], state=WaveState.SKIPPED, ended_at=NOON))
    for campaign in (ended, skipped):
        assert in_hand(campaign, IN_HAND_FOR - MOMENT)
        assert not in_hand(campaign, IN_HAND_FOR)


def test_a_device_that_reports_before_its_offer_is_stamped_is_in_hand_for_a_function_s_life() -> None:
    assert in_hand(holder(), IN_HAND_FOR - MOMENT, S.DOWNLOADING)
    assert not in_hand(holder(), IN_HAND_FOR, S.DOWNLOADING)


@pytest.mark.parametrize("state", [C.ABORTED, C.REVERTING])
@pytest.mark.parametrize("row", PROGRESS[1:])
def test_all_that_a_forced_withdrawal_takes_back_is_in_hand_until_it_has(
    state: CampaignState, row: RolloutState
) -> None:
    assert in_hand(holder(state, is_forced=True), LONG, row, sent_at=NOON)


@pytest.mark.parametrize("state", [C.PAUSED, C.AWAITING_APPROVAL])
@pytest.mark.parametrize("row", [{}, {"state": S.DOWNLOADING}, {"state": S.PLANNED, "attempt": 2, "retry_at": NOON}])
def test_a_revert_that_rests_takes_back_all_the_same(state: CampaignState, row: dict[str, Any]) -> None:
    going_back = holder(state, is_forced=True, reversion=Reversion())
    assert in_hand(going_back, LONG, **{"sent_at": NOON, **row})


def test_a_soft_one_leaves_the_devices_alone_that_have_begun() -> None:
    given_up = holder(C.ABORTED)
    assert in_hand(given_up, LONG, S.OFFERED, sent_at=NOON)
    assert in_hand(given_up, IN_HAND_FOR - MOMENT, S.DOWNLOADING, sent_at=NOON), "it may have been read as offered"
    assert not in_hand(given_up, IN_HAND_FOR, S.DOWNLOADING, sent_at=NOON)


@pytest.mark.parametrize("state", [C.RUNNING, C.PAUSED, C.ABORTED])
def test_what_was_never_offered_is_in_nobodys_hands(state: CampaignState) -> None:
    assert not in_hand(holder(state, is_forced=True), MOMENT, S.PLANNED)


def test_a_withdrawal_clears_the_twin_of_who_waits_for_a_further_attempt() -> None:
    waits = {"state": S.PLANNED, "attempt": 2, "retry_at": NOON}
    assert in_hand(holder(C.ABORTED), LONG, **waits)
    assert not in_hand(holder(), LONG, **waits)
