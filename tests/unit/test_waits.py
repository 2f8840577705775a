"""What holds a campaign back, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from shared.domain.approvals import ApprovalPolicy
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.conflicts import MAX_PRIORITY, Precedence
from shared.domain.gates import Counters, Gate
from shared.domain.pacing import LONG_AGO, Budget
from shared.domain.rates import ConstantRate, Pace, Paced
from shared.domain.retries import Retries
from shared.domain.rollouts import RolloutState
from shared.domain.schedules import Schedule
from shared.domain.stops import FleetStop, stop
from shared.domain.waits import Surroundings, Wait, WaitFor, find_waits
from shared.domain.waves import WaveState
from shared.domain.window_waits import earliest_opening, last_closing
from shared.domain.windows import Window
from tests.support.made_campaigns import make_campaign
from tests.support.rollouts import NOON

C, W = CampaignState, WaveState
MINUTE = timedelta(minutes=1)
BUDGET = Budget(rate_per_s=50, ceiling_per_s=50, next_free_at=LONG_AGO, adjusted_at=LONG_AGO)
FREE = Surroundings(stop=FleetStop(), budget=BUDGET)


def campaign(state: CampaignState = C.RUNNING, wave: WaveState = W.RUNNING) -> Campaign:
    made = make_campaign([])
    made = replace(
        made, state=state, state_since=NOON - MINUTE, created_at=LONG_AGO, spec=replace(made.spec, windows=())
    )
    return made.with_wave(replace(made.waves[0], state=wave, started_at=NOON - MINUTE))


def waits(found: Campaign, around: Surroundings = FREE) -> list[WaitFor]:
    return [wait.what for wait in find_waits(found, around, now=NOON)]


def only(found: Campaign, around: Surroundings = FREE) -> Wait:
    [wait] = find_waits(found, around, now=NOON)
    return wait


@pytest.mark.parametrize("state", [C.PLANNING, C.RUNNING, C.COMPLETED, C.ABORTED, C.REVERTED])
def test_a_campaign_that_goes_on_or_has_ended_waits_for_nothing(state: CampaignState) -> None:
    assert waits(campaign(state)) == []


def test_the_stop_of_the_fleet_comes_first_and_says_who_and_why() -> None:
    stopped = replace(FREE, stop=stop(FleetStop(), "it bricks pumps", who="ada", now=NOON - MINUTE))
    wait = only(campaign(), stopped)
    assert (wait.what, wait.since, wait.until) == (WaitFor.FLEET_RELEASE, NOON - MINUTE, None)
    assert wait.words == "ada stopped the whole fleet: it bricks pumps; DELETE /stop lets it go on"
    assert waits(campaign(C.PAUSED), stopped) == [WaitFor.FLEET_RELEASE, WaitFor.OPERATOR]
    assert waits(campaign(C.COMPLETED), stopped) == []


def test_a_stop_older_than_the_campaign_holds_it_since_it_was_posted() -> None:
    stopped = replace(FREE, stop=stop(FleetStop(), "it bricks pumps", who="ada", now=NOON - 9 * MINUTE))
    assert only(replace(campaign(), created_at=NOON - MINUTE), stopped).since == NOON - MINUTE


def test_a_paused_campaign_waits_for_an_operator_since_it_was_paused() -> None:
    paused = replace(campaign(C.PAUSED), reason="paused by ada", changed_at=NOON)
    assert only(paused).words == "an operator must act: paused by ada"
    assert only(paused).since == NOON - MINUTE
    assert only(replace(paused, state_since=None)).since == NOON, "rows from before know when they last changed"


def test_approval_and_schedule_say_how_many_and_when() -> None:
    spec = replace(campaign().spec, approval=ApprovalPolicy(required=2), schedule=Schedule(start_at=NOON + MINUTE))
    awaiting = replace(campaign(C.AWAITING_APPROVAL, W.PENDING), spec=spec, reason="wave 1 starts once 2 more approve")
    assert only(awaiting).words.startswith("2 more people must approve")
    assert only(replace(awaiting, state=C.SCHEDULED)).until == NOON + MINUTE


def test_closed_windows_hold_it_only_where_no_device_may_install_anywhere() -> None:
    """NOON is a Sunday in March."""
    berlin = Window(days=(5,), start=time(22), end=time(4), zone="Europe/Berlin")
    found = replace(campaign(), spec=replace(campaign().spec, windows=(berlin,)))
    wait = only(found)
    assert wait.since == datetime(2026, 2, 28, 3, tzinfo=UTC)
    assert wait.until == datetime(2026, 3, 6, 21, tzinfo=UTC)
    anywhere = Window(days=(7,), start=time(22), end=time(23))
    assert waits(replace(found, spec=replace(found.spec, windows=(anywhere,)))) == [], "it is 22:00 somewhere"
    assert waits(replace(found, spec=replace(found.spec, windows=(berlin,)), state=C.COMPLETED)) == []


@pytest.mark.parametrize("utc", [time(6, 40), time(6, 25), time(15, 40), time(23, 25)])
def test_it_is_noon_somewhere_also_where_clocks_are_off_by_half_an_hour_or_a_quarter(utc: time) -> None:
    """Kolkata, Kathmandu, St. John's and Chatham."""
    noon = Window(days=(1, 2, 3, 4, 5, 6, 7), start=time(12, 10), end=time(12, 15))
    at = datetime.combine(NOON.date(), utc, UTC)
    assert earliest_opening([noon], at) == at


def test_the_last_closing_of_windows_in_the_devices_own_zones_is_the_last_one_anywhere() -> None:
    night = Window(days=(5,), start=time(22), end=time(4))
    assert last_closing([night], NOON) == datetime(2026, 2, 28, 16, tzinfo=UTC)


def test_what_has_no_room_for_the_next_batch_is_named() -> None:
    dispatching = replace(campaign(wave=W.DISPATCHING), step_due_at=NOON + MINUTE, changed_at=NOON - MINUTE)
    full = replace(FREE, budget=replace(BUDGET, next_free_at=NOON + 2 * MINUTE))
    wait = only(dispatching, full)
    assert (wait.what, wait.since, wait.until) == (WaitFor.HUB_BUDGET, NOON - MINUTE, NOON + 2 * MINUTE)
    assert waits(replace(dispatching, step_due_at=NOON), full) == [], "it looks right now"

    urgent = replace(BUDGET, urgent_priority=900, urgent_until=NOON + MINUTE)
    assert "higher priority" in only(dispatching, replace(FREE, budget=urgent)).words
    back = replace(urgent, urgent_priority=MAX_PRIORITY + 1)
    assert "offers that are taken back" in only(dispatching, replace(FREE, budget=back)).words
    higher = replace(dispatching, spec=replace(dispatching.spec, precedence=Precedence(priority=900)))
    assert waits(higher, replace(FREE, budget=urgent)) == []

    wire = replace(BUDGET, bandwidth_bytes_per_s=1_000, wire_free_at=NOON + MINUTE)
    assert waits(dispatching, replace(FREE, budget=wire)) == [WaitFor.BANDWIDTH]
    slow = replace(
        dispatching,
        spec=replace(dispatching.spec, pace=Pace(rate=ConstantRate(devices_per_minute=1))),
        paced=Paced(at=NOON, devices=3),
    )
    assert (only(slow).what, only(slow).until) == (WaitFor.PACE, NOON + 3 * MINUTE)


@pytest.mark.parametrize("waits_for", ["other campaigns", "a further attempt"])
def test_devices_that_others_hold_or_that_try_again_are_counted(waits_for: str) -> None:
    held = replace(campaign(), planning=replace(campaign().planning, waiting=4))
    trying = replace(campaign(), spec=replace(campaign().spec, retries=Retries(maximum=1)))
    found = held if waits_for == "other campaigns" else trying
    counters = Counters(by_state={RolloutState.PLANNED: 3})
    wait = only(found, replace(FREE, counters={1: counters}))
    assert (wait.what, wait.since) == (WaitFor.HELD_DEVICES, NOON - MINUTE)
    assert wait.words.startswith("3 devices of wave 1 have no offer yet")
    assert waits(found) == []


def test_a_soak_says_until_when() -> None:
    found = campaign(wave=W.SOAKING)
    [wave] = found.waves
    spec = replace(wave.spec, gate=Gate(soak_s=600))
    wait = only(found.with_wave(replace(wave, spec=spec, soak_until=NOON + MINUTE)))
    assert (wait.what, wait.since, wait.until) == (WaitFor.SOAK, NOON - 9 * MINUTE, NOON + MINUTE)
