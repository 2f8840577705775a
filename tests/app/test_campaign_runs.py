"""Whole campaigns through the real control plane, with everything going well."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from shared.domain.campaigns import CampaignState
from shared.domain.rollouts import RolloutState
from shared.domain.waves import WaveState
from shared.ports.bus import Queue
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld, fleet

C, S = CampaignState, RolloutState
WAVES = [{"count": 1}, {"percent": 10}, {"rest": True}]


def test_a_campaign_goes_wave_by_wave_to_its_end() -> None:
    """I3, I5: every device is in one wave, and each wave starts once, in order."""
    world = CampaignWorld(fleet(250))
    campaign = world.post(waves=WAVES)
    done = world.run_until(campaign.id, C.COMPLETED)
    assert [wave.state for wave in done.waves] == [WaveState.PASSED] * 3
    assert [wave.devices for wave in done.waves] == [1, 25, 224]
    assert world.starts == [(campaign.id, 1), (campaign.id, 2), (campaign.id, 3)]
    assert {row.state for row in world.rollouts.rows(campaign.id).values()} == {S.SUCCEEDED}
    world.check_counters(campaign.id)


def test_devices_named_one_by_one_are_rolled_out_once_each() -> None:
    world = CampaignWorld()
    campaign = world.post(targets={"devices": ["a#1", "b'2", "a#1"]})
    done = world.run_until(campaign.id, C.COMPLETED)
    assert done.targets == 2
    assert sorted(world.rollouts.rows(campaign.id)) == ["a#1", "b'2"]


def test_devices_are_free_again_after_the_campaign() -> None:
    world = CampaignWorld(fleet(30))
    first = world.post()
    world.run_until(first.id, C.COMPLETED)
    world.run()
    assert {held for *_, held in world.end_state(first.id)["devices"]} == {""}
    second = world.post(name="autumn")
    done = world.run_until(second.id, C.COMPLETED)
    assert done.planning.skipped == 0
    assert {row.sequence for row in world.rollouts.rows(second.id).values()} == {2}


def test_a_soak_delays_the_next_wave() -> None:
    world = CampaignWorld(fleet(20))
    campaign = world.post(waves=[{"count": 1, "gate": {"soak_s": 600}}, {"rest": True}])
    done = world.run_until(campaign.id, C.COMPLETED)
    first, second = done.waves
    assert first.ended_at is not None
    assert second.started_at is not None
    assert second.started_at - NOON >= timedelta(seconds=600)


def test_a_failure_during_the_soak_stops_the_campaign() -> None:
    world = CampaignWorld(fleet(20))
    campaign = world.post(waves=[{"count": 2, "gate": {"soak_s": 600}}, {"rest": True}])
    world.run(lambda: any(wave.state is WaveState.SOAKING for wave in world.campaign(campaign.id).waves))
    world.regress_one(campaign.id)
    stopped = world.run_until(campaign.id, C.PAUSED)
    assert "1 of 2 devices failed" in stopped.reason
    assert world.starts == [(campaign.id, 1)]


def test_failing_canaries_pause_the_campaign_and_say_why() -> None:
    world = CampaignWorld(fleet(40), outcome=lambda _device: S.FAILED)
    campaign = world.post(waves=WAVES)
    stopped = world.run_until(campaign.id, C.PAUSED)
    assert stopped.waves[0].state is WaveState.FAILED
    assert stopped.reason == (
        "the gate of wave 1 (wave 1) stopped it: 1 of 1 devices failed (100 %, the gate allows 0 %)"
    )
    world.run()
    assert sum(row.state is S.PLANNED for row in world.rollouts.rows(campaign.id).values()) == 39


def test_silent_devices_keep_their_wave_open_until_they_time_out() -> None:
    world = CampaignWorld(fleet(10), outcome=lambda device: None if device == "a#1" else S.SUCCEEDED)
    campaign = world.post()
    world.run(hours=5)
    assert world.campaign(campaign.id).state is C.RUNNING


def test_a_query_without_devices_gives_the_campaign_up_with_the_reason() -> None:
    world = CampaignWorld([])
    campaign = world.post()
    done = world.run_until(campaign.id, C.ABORTED)
    assert done.reason == "no device matches the query; nothing to roll out"


def test_a_query_the_hub_refuses_gives_the_campaign_up_with_the_hubs_words() -> None:
    world = CampaignWorld(fleet(3))
    campaign = world.post(targets={"query": "SELECT * FROM devices WHERE BROKEN"})
    assert "BROKEN" in world.run_until(campaign.id, C.ABORTED).reason


def test_dispatch_stays_within_its_share_of_messages_and_writes() -> None:
    """I6: at most 11 queue messages, 11 visits and 2 budget writes for 1,000 devices of one wave and shard."""
    world = CampaignWorld(fleet(1_000), shards=1)
    campaign = world.post()
    world.run_until(campaign.id, C.COMPLETED)
    assert len(world.bus.sent_to(Queue.DEVICE_BATCHES)) == 11
    assert world.budget.writes <= 2


def test_batches_are_spread_over_time_as_the_budget_allows() -> None:
    """I6: one batch of 99 devices takes 99 x 5 twin updates, at 50 a second nearly ten seconds."""
    world = CampaignWorld(fleet(990), shards=1, rate_per_s=50)
    campaign = world.post()
    world.run_until(campaign.id, C.COMPLETED)
    times = [entry.visible_at for entry in world.bus.sent if entry.queue is Queue.DEVICE_BATCHES]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert len(times) == 10
    assert min(gaps) >= 9.9
    assert max(gaps) <= 10.0
