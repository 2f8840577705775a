"""The pure decisions behind a campaign's steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.campaign_specs import CampaignSpec, DeviceQuery
from shared.domain.campaigns import FINISHED, Campaign, CampaignState
from shared.domain.errors import Conflict, DomainError
from shared.domain.gates import Counters, Gate
from shared.domain.ids import CampaignId, package_name
from shared.domain.joining import join
from shared.domain.packages import Package, PackageKind
from shared.domain.planning import Planning, PlanningPhase
from shared.domain.reversions import Reversion, ReversionPhase, Wish
from shared.domain.reverting import is_order_good
from shared.domain.rollouts import PackageTarget, RolloutState
from shared.domain.schedules import Schedule
from shared.domain.starting import may_offer
from shared.domain.steps import StepKind, apply_verdict, complete, next_step, note_dispatched, start_wave
from shared.domain.steps_by_operators import OperatorAction, Request, act, fitting_actions
from shared.domain.verdicts import Decision, Verdict
from shared.domain.versions import Version
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.waves import DONE_WAVES, Rest, Wave, WaveSpec, WaveState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
C, S, W = CampaignState, RolloutState, WaveState


def campaign(*waves: WaveState, state: CampaignState = C.RUNNING, soak_s: float = 0.0) -> Campaign:
    spec = WaveSpec(name="w", size=Rest(), gate=Gate(soak_s=soak_s))
    return Campaign(
        id=CampaignId("spring"),
        spec=CampaignSpec(
            name="s",
            package=PackageTarget(name="x", version="1"),
            targets=DeviceQuery(query="SELECT * FROM devices"),
            waves=(spec,) * len(waves),
        ),
        package=Package(
            name=package_name("x"),
            version=Version("1"),
            kind=PackageKind.FIRMWARE,
            length_bytes=1,
            sha256="0" * 64,
            created=NOW,
            compatibility={},
        ),
        shards=1,
        state=state,
        step_due_at=NOW,
        waves=tuple(
            Wave(number=number, spec=spec, start=number, stop=number + 1, batches=3, state=wave)
            for number, wave in enumerate(waves, start=1)
        ),
        requested_by="ada",
        created_at=NOW,
        changed_at=NOW,
    )


def verdict(decision: Decision) -> Verdict:
    return Verdict(decision=decision, reason="because")


wave_lists = st.lists(st.sampled_from(list(W)), min_size=1, max_size=6)


@given(wave_lists)
def test_no_wave_starts_behind_a_closed_gate(states: list[WaveState]) -> None:
    """I5: whatever states the waves are in."""
    before = campaign(*states)
    try:
        after = start_wave(before, now=NOW)
    except Conflict:
        return
    (started,) = [new for old, new in zip(before.waves, after.waves, strict=True) if new != old]
    assert before.waves[started.number - 1].state is W.PENDING
    assert all(wave.state in DONE_WAVES for wave in before.waves[: started.number - 1])


@given(wave_lists, st.sampled_from(list(Decision)))
def test_no_verdict_starts_a_wave(states: list[WaveState], decision: Decision) -> None:
    """I5: passing opens the gate; starting is a step of its own."""
    before = campaign(*states)
    if before.wave_in_hand is None:
        return
    change = apply_verdict(before, verdict(decision), now=NOW)
    after = change.campaign if change else before
    newly = [new for old, new in zip(before.waves, after.waves, strict=True) if new.state is not old.state]
    assert not [wave for wave in newly if wave.state is W.DISPATCHING]


@given(wave_lists, st.sampled_from(list(C)))
def test_a_campaign_steps_exactly_where_it_awaits_a_step(states: list[WaveState], state: CampaignState) -> None:
    found = campaign(*states, state=state)
    if next_step(found) is not StepKind.NOTHING:
        assert found.awaits_step


def test_a_wave_that_runs_cannot_be_started_again() -> None:
    """I5: a wave starts once."""
    for state in set(W) - {W.PENDING, *DONE_WAVES}:
        with pytest.raises(Conflict):
            start_wave(campaign(state, W.PENDING), now=NOW)


def test_a_wave_being_dispatched_can_be_stopped_and_does_not_pass() -> None:
    dispatching = campaign(W.DISPATCHING)
    assert apply_verdict(dispatching, verdict(Decision.PASS), now=NOW) is None
    stopped = apply_verdict(dispatching, verdict(Decision.STOP), now=NOW)
    assert stopped is not None
    assert stopped.campaign.state is C.PAUSED


def test_a_wave_passes_at_once_without_a_soak_and_after_it_with_one() -> None:
    passed = apply_verdict(campaign(W.RUNNING), verdict(Decision.PASS), now=NOW)
    assert passed is not None
    assert passed.campaign.waves[0].state is W.PASSED
    soaking = apply_verdict(campaign(W.RUNNING, soak_s=60), verdict(Decision.PASS), now=NOW)
    assert soaking is not None
    assert (soaking.campaign.waves[0].state, soaking.due_at) == (W.SOAKING, NOW + timedelta(seconds=60))
    early = NOW + timedelta(seconds=59.9)
    assert apply_verdict(soaking.campaign, verdict(Decision.PASS), now=early) is None
    late = apply_verdict(soaking.campaign, verdict(Decision.PASS), now=soaking.due_at)
    assert late is not None
    assert late.campaign.waves[0].state is W.PASSED


def test_a_wave_without_devices_is_not_soaked() -> None:
    planned = campaign(W.RUNNING, soak_s=60)
    empty = planned.with_wave(replace(planned.waves[0], start=0, stop=0))
    passed = apply_verdict(empty, verdict(Decision.PASS), now=NOW)
    assert passed is not None
    assert passed.campaign.waves[0].state is W.PASSED


def test_a_soak_that_ends_short_of_success_goes_back_to_waiting() -> None:
    soaking = campaign(W.SOAKING, soak_s=60)
    soaking = soaking.with_wave(replace(soaking.waves[0], soak_until=NOW))
    back = apply_verdict(soaking, verdict(Decision.WAIT), now=NOW)
    assert back is not None
    assert back.campaign.waves[0].state is W.RUNNING


def test_the_last_batch_sets_the_wave_running() -> None:
    assert note_dispatched(campaign(W.DISPATCHING), 2).waves[0].state is W.DISPATCHING
    assert note_dispatched(campaign(W.DISPATCHING), 3).waves[0].state is W.RUNNING


def test_a_campaign_completes_after_its_last_wave() -> None:
    assert next_step(campaign(W.PASSED, W.SKIPPED)) is StepKind.COMPLETE
    assert next_step(campaign(W.PASSED, W.PENDING)) is StepKind.START_WAVE


@given(wave_lists, st.sampled_from(list(C)), st.sampled_from(list(OperatorAction)))
def test_an_operators_action_done_twice_is_the_same_as_once(
    states: list[WaveState], state: CampaignState, action: OperatorAction
) -> None:
    """I9: and it never reopens what is finished."""
    before = campaign(*states, state=state)
    try:
        after = act(before, Request(action=action, who="grace", now=NOW, wave=1))
    except DomainError:
        return
    if after is not None:
        assert not before.is_finished or (action is OperatorAction.FORCE_CANCEL and after.state is C.ABORTED)
        assert act(after, Request(action=action, who="grace", now=NOW, wave=1)) is None


def test_a_cancelled_campaign_steps_until_its_offers_are_taken_back() -> None:
    cancelled = act(campaign(W.RUNNING), Request(action=OperatorAction.CANCEL, who="ada", now=NOW))
    assert cancelled is not None
    assert cancelled.state in FINISHED
    assert cancelled.walks == (Walk(purpose=BatchPurpose.RECALL, last_wave=1),)
    assert next_step(cancelled) is StepKind.WALK


def test_a_campaign_that_reached_nobody_says_so() -> None:
    planned = campaign(W.PASSED)
    held = replace(planned, targets=2, planning=replace(planned.planning, skipped=2))
    assert "2 of 2 devices were skipped" in complete(held).reason
    assert "skipped" not in complete(planned).reason


def test_a_wave_is_skipped_by_its_number_so_that_a_repeat_skips_no_other() -> None:
    running = campaign(W.RUNNING, W.PENDING, W.PENDING)
    skipped = act(running, skip(1))
    assert skipped is not None
    assert [wave.state for wave in skipped.waves] == [W.SKIPPED, W.PENDING, W.PENDING]
    assert skipped.walks == (Walk(purpose=BatchPurpose.SKIP, wave=1, last_wave=1),)
    assert act(skipped, skip(1)) is None
    both = act(skipped, skip(3))
    assert both is not None
    assert len(both.walks) == 2


def test_only_a_wave_that_is_there_and_has_not_passed_can_be_skipped() -> None:
    running = campaign(W.PASSED, W.RUNNING)
    with pytest.raises(Conflict, match=r"wave 1 of .* is passed"):
        act(running, skip(1))
    with pytest.raises(DomainError, match="has no wave 7, but the waves 1 to 2"):
        act(running, skip(7))
    with pytest.raises(DomainError, match="name the wave"):
        act(running, skip(None))


def test_a_wave_that_a_gate_stopped_can_be_skipped_and_the_next_one_starts() -> None:
    stopped = campaign(W.FAILED, W.PENDING, state=C.PAUSED)
    skipped = act(stopped, skip(1))
    assert skipped is not None
    assert skipped.state is C.PAUSED
    planned = replace(skipped, walks=(), planning=Planning(phase=PlanningPhase.DONE))
    resumed = act(planned, Request(action=OperatorAction.RESUME, who="ada", now=NOW))
    assert resumed is not None
    assert next_step(resumed) is StepKind.START_WAVE


def test_a_soft_cancel_can_be_forced_later() -> None:
    soft = act(campaign(W.RUNNING), Request(action=OperatorAction.CANCEL, who="ada", now=NOW))
    assert soft is not None
    assert not soft.is_forced
    forced = act(replace(soft, walks=()), Request(action=OperatorAction.FORCE_CANCEL, who="ada", now=NOW))
    assert forced is not None
    assert forced.is_forced


def skip(wave: int | None) -> Request:
    return Request(action=OperatorAction.SKIP_WAVE, who="ada", now=NOW, wave=wave)


@pytest.mark.parametrize(
    ("ago", "is_good"),
    [
        (timedelta(0), True),
        (timedelta(days=30, minutes=-6), True),
        (timedelta(days=30, minutes=1), False),
        (timedelta(minutes=-4), True),
        (timedelta(minutes=-6), False),
    ],
)
def test_an_order_to_revert_is_good_for_a_month_and_not_ahead_of_its_time(ago: timedelta, is_good: bool) -> None:
    """A thief's order dated years ahead would serve for ever; clocks differ by minutes."""
    ordered = replace(campaign(W.PASSED, state=C.REVERTING), reversion=Reversion(ordered_at=NOW - ago))
    assert is_order_good(ordered, now=NOW) is is_good
    assert not is_order_good(campaign(W.PASSED), now=NOW)


def test_nobody_is_offered_anything_from_the_schedules_end_on() -> None:
    found = campaign(W.RUNNING)
    found = replace(found, spec=replace(found.spec, schedule=Schedule(end_at=NOW)))
    assert may_offer(found, 1, now=NOW - timedelta(microseconds=1))
    assert not may_offer(found, 1, now=NOW)


@pytest.mark.parametrize("state", [W.RUNNING, W.SOAKING])
def test_newcomers_that_were_found_before_membership_closed_are_dispatched_also_in_a_soak(state: WaveState) -> None:
    found = campaign(W.PASSED, state)
    found = found.with_wave(replace(found.waves[-1], soak_until=NOW))
    last = join(found, 3, 1).waves[-1]
    assert (last.state, last.soak_until, last.devices) == (W.DISPATCHING, None, found.waves[-1].devices + 3)


@pytest.mark.parametrize(("state", "is_lifted"), [(C.COMPLETED, True), (C.PAUSED, False)])
def test_asking_for_further_attempts_lifts_the_end_only_where_nobody_has_to_resume(
    state: CampaignState, is_lifted: bool
) -> None:
    found = campaign(W.PASSED if state is C.COMPLETED else W.RUNNING, state=state)
    begun = found.with_wave(replace(found.waves[0], started_at=NOW))
    ended = replace(begun, spec=replace(begun.spec, schedule=Schedule(end_at=NOW)))
    after = act(ended, Request(action=OperatorAction.RETRY_FAILED, who="ada", now=NOW))
    assert after is not None
    assert after.consents.is_end_waived is is_lifted


def test_what_was_accepted_stays_so_when_somebody_pauses_and_resumes() -> None:
    accepted, since = Counters(by_state={S.FAILED: 2}), Counters(by_state={S.FAILED: 5})
    resume = Request(action=OperatorAction.RESUME, who="ada", now=NOW, acknowledged=since)
    for state, expected in ((W.RUNNING, accepted), (W.FAILED, since)):
        found = campaign(state, state=C.PAUSED)
        after = act(found.with_wave(replace(found.waves[0], acknowledged=accepted)), resume)
        assert after is not None
        assert after.waves[0].acknowledged == expected


def test_a_new_order_to_revert_waits_until_the_campaigns_of_the_last_one_are_told_to_end() -> None:
    """They would go on: nobody would know them any more."""
    order = Reversion(ordered_at=NOW, phase=ReversionPhase.WATCHING, wish=Wish.CANCEL, is_told=False)
    cancelled = replace(
        campaign(W.PASSED, state=C.ABORTED), reversion=order, planning=Planning(phase=PlanningPhase.DONE)
    )
    again = Request(action=OperatorAction.REVERT, who="ada", now=NOW)
    with pytest.raises(Conflict) as refused:
        act(cancelled, again)
    assert refused.value.code == "try_again"
    after = act(replace(cancelled, reversion=replace(order, is_told=True)), again)
    assert after is not None
    assert after.reversion is not None
    assert after.reversion.number == 2


def test_a_withdrawn_package_stands_in_the_way_of_its_offers_and_not_of_going_back() -> None:
    rests = campaign(W.RUNNING, state=C.PAUSED)
    assert OperatorAction.RESUME not in fitting_actions(rests, is_withdrawn=True)
    back = replace(rests, reversion=Reversion(ordered_at=NOW))
    assert OperatorAction.RESUME in fitting_actions(back, is_withdrawn=True)
