"""Operators pause, resume and cancel campaigns (invariant I9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict, DomainError, NotFound
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import DEVICE_NOT_FOUND, RolloutState
from shared.domain.verdicts import Decision
from shared.domain.walks import BatchPurpose
from shared.domain.waves import WaveState
from shared.ports.bus import Queue
from shared.wire.messages import read_batch_work
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.memory_bus import Waiting

C, S = CampaignState, RolloutState
TWO_WAVES = [{"count": 5}, {"rest": True}]


def states(world: CampaignWorld, campaign: Campaign) -> set[RolloutState]:
    return {row.state for row in world.rollouts.rows(campaign.id).values()}


def start(world: CampaignWorld) -> Campaign:
    campaign = world.post(waves=TWO_WAVES)
    world.run(lambda: world.campaign(campaign.id).wave_in_hand is not None and world.starts != [])
    return campaign


def deeds(world: CampaignWorld, campaign: Campaign) -> list[tuple[str, str, str, str]]:
    return [(entry.who, entry.what, entry.before, entry.after) for entry in world.audit.read(campaign.id)]


def test_work_that_comes_up_during_a_pause_is_done_after_it() -> None:
    """The batch in flight is dropped by the dispatch, and goes out again on resuming."""
    world = CampaignWorld(fleet(30))
    campaign = start(world)
    world.run(lambda: any(entry.queue is Queue.DEVICE_BATCHES for entry in world.bus.waiting))
    world.act(campaign.id, "pause")
    world.run()
    assert states(world, campaign) == {S.PLANNED}
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    assert states(world, campaign) == {S.SUCCEEDED}
    assert world.starts == [(campaign.id, 1), (campaign.id, 2)]


def test_planning_is_paused_and_taken_up_where_it_was() -> None:
    world = CampaignWorld(fleet(250), page_size=10)
    campaign = world.post()
    world.run(lambda: world.campaign(campaign.id).planning.page == 2)
    assert world.act(campaign.id, "pause").state is C.PAUSED
    world.run()
    assert world.campaign(campaign.id).planning.page == 2
    assert world.act(campaign.id, "resume").state is C.PLANNING
    assert world.run_until(campaign.id, C.COMPLETED).targets == 250


def test_resuming_after_a_gate_stop_accepts_the_failures_so_far() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda device: S.FAILED if device == first else S.SUCCEEDED)
    first: DeviceId | None = None
    campaign = world.post(waves=TWO_WAVES)
    world.run(lambda: bool(world.starts))
    first = world.manifests.read_manifest(campaign.id)[0]
    world.run_until(campaign.id, C.PAUSED)
    resumed = world.act(campaign.id, "resume")
    assert resumed.waves[0].acknowledged.failures == 1
    done = world.run_until(campaign.id, C.COMPLETED)
    assert (
        done.waves[0].reason
        == "4 of 4 devices succeeded (100 %, the gate asks 100 %), 1 more acknowledged by an operator or quarantined"
    )


def test_new_failures_after_a_resume_stop_the_campaign_again() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: S.FAILED, shards=1)
    campaign = world.post(waves=TWO_WAVES)
    world.run_until(campaign.id, C.PAUSED)
    world.act(campaign.id, "resume")
    again = world.run_until(campaign.id, C.PAUSED)
    assert again.waves[0].state is WaveState.PASSED
    assert again.waves[1].state is WaveState.FAILED


def test_a_cancelled_campaign_takes_its_offers_back_and_frees_its_devices() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = start(world)
    world.run(lambda: S.OFFERED in states(world, campaign))
    cancelled = world.act(campaign.id, "cancel")
    assert (cancelled.state, cancelled.reason) == (C.ABORTED, "cancelled by grace")
    assert [wave.state for wave in cancelled.waves] == [WaveState.FAILED, WaveState.SKIPPED]
    world.run()
    assert states(world, campaign) == {S.CANCELLED}
    assert {held for *_, held in world.end_state(campaign.id)["devices"]} == {""}
    assert not world.campaign(campaign.id).awaits_step


def test_what_succeeded_before_a_cancellation_stays_succeeded() -> None:
    world = CampaignWorld(fleet(30))
    campaign = world.post(waves=[{"count": 5, "gate": {"soak_s": 600}}, {"rest": True}])
    world.run(lambda: S.SUCCEEDED in states(world, campaign))
    world.act(campaign.id, "cancel")
    world.run()
    rows = world.rollouts.rows(campaign.id).values()
    assert sum(row.state is S.SUCCEEDED for row in rows) > 0
    assert {row.state for row in rows if row.wave == 2} == {S.CANCELLED}


def test_a_campaign_cancelled_while_it_lists_has_nothing_to_take_back() -> None:
    world = CampaignWorld(fleet(250), page_size=10)
    campaign = world.post()
    world.run(lambda: world.campaign(campaign.id).planning.page == 2)
    assert not world.act(campaign.id, "cancel").awaits_step
    world.run()
    assert world.campaign(campaign.id).state is C.ABORTED
    assert world.rollouts.rows(campaign.id) == {}


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "force-cancel"])
def test_an_action_repeated_changes_nothing_and_is_audited_once(action: str) -> None:
    """I9: every operator action is idempotent."""
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = start(world)
    if action == "resume":
        world.act(campaign.id, "pause")
    once = world.act(campaign.id, action)
    written = deeds(world, campaign)
    assert world.act(campaign.id, action) == once
    assert deeds(world, campaign) == written
    assert written[-1][:2] == ("grace", action)


def test_an_action_that_does_not_fit_is_refused_with_those_that_do() -> None:
    world = CampaignWorld(fleet(3))
    campaign = world.post()
    world.run_until(campaign.id, C.COMPLETED)
    with pytest.raises(Conflict, match="is completed: pause does not fit, these actions do: retry-failed or revert"):
        world.act(campaign.id, "pause")
    cancelled = world.post(name="other")
    world.act(cancelled.id, "cancel")
    with pytest.raises(Conflict, match="is aborted: resume does not fit"):
        world.act(cancelled.id, "resume")


def test_an_action_on_an_unknown_campaign_is_not_found() -> None:
    with pytest.raises(NotFound, match="there is no campaign nope"):
        CampaignWorld().act(CampaignId("nope"), "pause")


def test_the_audit_log_tells_who_did_what_and_what_the_gate_said() -> None:
    """I9: posting, verdicts and actions, in the order of the campaign's steps."""
    world = CampaignWorld(fleet(30), outcome=lambda _device: S.FAILED)
    campaign = world.post(waves=TWO_WAVES)
    world.run_until(campaign.id, C.PAUSED)
    world.act(campaign.id, "cancel")
    assert deeds(world, campaign) == [
        ("ada", "create", "", "planning"),
        ("gate", "stop", "running", "paused"),
        ("grace", "cancel", "paused", "aborted"),
    ]


def test_a_gate_may_give_the_campaign_up_and_keep_what_is_done() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda device: S.FAILED if device == first else S.SUCCEEDED)
    first: DeviceId | None = None
    campaign = world.post(waves=TWO_WAVES, gate={"on_stop": "abort"})
    world.run(lambda: bool(world.starts))
    first = world.manifests.read_manifest(campaign.id)[0]
    ended = world.run_until(campaign.id, C.ABORTED)
    assert ended.reason.startswith("the gate of wave 1 (wave 1) stopped it: ")
    assert ended.waves[0].verdict is not None
    assert ended.waves[0].verdict.decision is Decision.STOP
    world.run()
    counters = world.rollouts.read_counters(campaign.id, 2, campaign.shards)
    assert counters.of(S.CANCELLED) == counters.total
    assert [entry.what for entry in world.audit.read(campaign.id)] == ["create", "stop"]


def test_a_campaign_that_ends_by_itself_is_audited_too() -> None:
    empty, full = CampaignWorld(), CampaignWorld(fleet(3))
    nobody, everybody = empty.post(), full.post()
    empty.run_until(nobody.id, C.ABORTED)
    full.run_until(everybody.id, C.COMPLETED)
    assert deeds(empty, nobody)[1:] == [("service", "abort", "planning", "aborted")]
    assert deeds(full, everybody)[2:] == [("service", "complete", "running", "completed")]


def test_a_skipped_wave_lets_the_next_one_start_and_leaves_out_who_has_no_offer() -> None:
    """I5: a named operator, not a gate, opened the way; the audit says who."""
    world = CampaignWorld(fleet(300), outcome=lambda _device: None, rate_per_s=5.0)
    campaign = world.post(waves=[{"count": 250}, {"rest": True}], gate={"silent_percent": None})
    world.run(lambda: S.OFFERED in states(world, campaign))
    world.act(campaign.id, "skip-wave", wave=1)
    world.act(campaign.id, "skip-wave", wave=1)
    world.run(lambda: (campaign.id, 2) in world.starts)
    world.run(lambda: not world.campaign(campaign.id).walks)
    world.run(lambda: not any(read_batch_work_of(entry) is BatchPurpose.SKIP for entry in world.bus.waiting))
    first = world.rollouts.read_counters(campaign.id, 1, campaign.shards)
    assert first.of(S.PLANNED) == 0
    assert first.of(S.SKIPPED) > 0
    assert first.of(S.OFFERED) > 0
    assert [entry.what for entry in world.audit.read(campaign.id)] == ["create", "skip-wave"]
    assert next(iter(reversed(list(world.audit.read(campaign.id))))).detail.startswith("wave 1")


def test_waves_are_skipped_while_paused_and_take_effect_on_resuming() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: S.FAILED)
    lenient = {"failure_percent": None, "success_percent": 0}
    campaign = world.post(waves=[{"count": 5}, {"count": 5}, {"rest": True, "gate": lenient}])
    world.run_until(campaign.id, C.PAUSED)
    world.act(campaign.id, "skip-wave", wave=1)
    world.act(campaign.id, "skip-wave", wave=2)
    world.act(campaign.id, "resume")
    done = world.run_until(campaign.id, C.COMPLETED)
    assert world.starts == [(campaign.id, 1), (campaign.id, 3)]
    assert done.reason == "1 of 3 waves passed, 1 and 2 were skipped"
    assert {row.state for row in world.rollouts.rows(campaign.id).values() if row.wave == 2} == {S.SKIPPED}


def test_skipping_needs_the_number_of_the_wave() -> None:
    world = CampaignWorld(fleet(3), outcome=lambda _device: None)
    campaign = start(world)
    with pytest.raises(DomainError, match="name the wave to skip"):
        world.act(campaign.id, "skip-wave")


def test_cancelling_leaves_devices_that_have_begun_and_forcing_it_does_not() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: S.INSTALLING)
    campaign = world.post(waves=[{"count": 5}, {"rest": True}])
    world.run(lambda: S.INSTALLING in states(world, campaign))
    world.act(campaign.id, "cancel")
    world.run()
    assert states(world, campaign) == {S.INSTALLING, S.CANCELLED}
    world.act(campaign.id, "force-cancel")
    world.run()
    assert states(world, campaign) == {S.CANCELLED}
    assert world.campaign(campaign.id).reason == "cancelled by grace, devices that had begun included"


def read_batch_work_of(entry: Waiting) -> BatchPurpose | None:
    return read_batch_work(entry.message.body).purpose if entry.queue is Queue.DEVICE_BATCHES else None


def test_a_forced_cancel_repeated_is_one_even_after_all_is_taken_back() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: None)
    campaign = start(world)
    world.act(campaign.id, "force-cancel")
    world.run(lambda: not world.campaign(campaign.id).walks, hours=1)
    before = world.campaign(campaign.id)
    assert world.act(campaign.id, "force-cancel") == before
    assert before.is_forced


def test_a_wave_of_devices_that_do_not_exist_stops_until_it_is_skipped() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: S.SKIPPED)
    world.describe = lambda row: replace(row, code=DEVICE_NOT_FOUND) if row.wave == 1 else row
    campaign = world.post(waves=[{"count": 5}, {"rest": True}], gate={"success_percent": 0})
    stopped = world.run_until(campaign.id, C.PAUSED)
    assert "IoT Hub knows none of the 5 devices (device_not_found)" in stopped.reason
    world.act(campaign.id, "resume")
    assert world.run_until(campaign.id, C.PAUSED).waves[0].state is WaveState.FAILED
    world.act(campaign.id, "skip-wave", wave=1)
    world.act(campaign.id, "resume")
    done = world.run_until(campaign.id, C.COMPLETED)
    assert done.waves[1].state is WaveState.PASSED, "others were skipped for another reason: nobody had to try it"
    world.check_audit(campaign.id)
