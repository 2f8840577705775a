"""What goes through a whole wave once more takes slots for what it writes, and for nothing else (invariant I6)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import CampaignId
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.walks import BatchPurpose
from shared.domain.waves import DeviceBatch
from shared.ports.bus import Queue
from shared.ports.stored import Stored
from shared.wire.messages import read_batch_work
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Faults

C, S = CampaignState, RolloutState
RATE_PER_S = 50.0
DEVICES = 3000
PATIENT = {"success_percent": 100, "failure_percent": None, "silent_percent": None}


def reserved_s(world: CampaignWorld) -> float:
    """How long the hub is taken from now on."""
    return max(0.0, (world.budget.get().value.next_free_at - world.now).total_seconds())


def with_state(world: CampaignWorld, campaign: CampaignId, state: RolloutState) -> int:
    return sum(row.state is state for row in world.rollouts.rows(campaign).values())


def running(world: CampaignWorld, offered: int) -> Campaign:
    """A campaign over all devices, once as many have their offer."""
    campaign = world.post(waves=[{"rest": True}], gate=PATIENT)
    world.run(lambda: len(world.rollouts.rows(campaign.id)) == DEVICES)
    world.run(lambda: with_state(world, campaign.id, S.PLANNED) <= DEVICES - offered)
    return campaign


def silent_world(begins: RolloutState | None = None, **options: Any) -> CampaignWorld:
    """An S1 hub whose devices say nothing, or only that they have begun."""
    return CampaignWorld(fleet(DEVICES), outcome=lambda _device: begins, rate_per_s=RATE_PER_S, **options)


def test_a_resume_takes_no_slots_for_devices_that_have_their_offer() -> None:
    """At an S1 hub's pace, ten devices a second, going through all of them again would take five minutes."""
    world = silent_world(S.DOWNLOADING)
    campaign = running(world, DEVICES - 300)
    world.act(campaign.id, "pause")
    world.run(hours=0.1)
    left, resumed_at, written = with_state(world, campaign.id, S.PLANNED), world.now, world.budget.writes
    assert 0 < left <= 300
    world.act(campaign.id, "resume")
    world.run(lambda: with_state(world, campaign.id, S.DOWNLOADING) == DEVICES, hours=1)
    assert with_state(world, campaign.id, S.DOWNLOADING) == DEVICES
    assert world.now - resumed_at <= timedelta(seconds=left / 10 + 15)
    assert world.budget.writes - written <= 4
    world.check_counters(campaign.id)


def test_the_first_time_through_a_wave_no_batch_is_looked_into() -> None:
    """A query for each would double what a dispatch costs."""
    world = silent_world()
    looked = 0
    read_batch = world.rollouts.read_batch

    def counted(campaign: CampaignId, batch: DeviceBatch) -> list[Stored[Rollout]]:
        nonlocal looked
        looked += 1
        return read_batch(campaign, batch)

    world.rollouts.read_batch = counted
    campaign = world.post(waves=[{"rest": True}], gate=PATIENT)
    world.run(lambda: with_state(world, campaign.id, S.OFFERED) == DEVICES)
    batches = world.campaign(campaign.id).waves[0].batches
    # The scripted data plane reads each batch twice as it is offered; a visit may come on top.
    assert looked <= 3 * batches


def test_skipping_a_wave_takes_nothing_from_the_hub() -> None:
    world = silent_world()
    campaign = running(world, 500)
    world.act(campaign.id, "pause")
    world.run(hours=0.1)
    written = world.budget.writes
    world.act(campaign.id, "skip-wave", wave=1)
    world.run(lambda: not world.campaign(campaign.id).walks, hours=1)
    world.run(lambda: not with_state(world, campaign.id, S.PLANNED), hours=1)
    assert with_state(world, campaign.id, S.PLANNED) == 0
    assert world.budget.writes == written
    world.check_counters(campaign.id)


def test_cancelling_takes_slots_for_the_offers_that_are_out_and_goes_at_once_through_the_rest() -> None:
    world = silent_world()
    campaign = running(world, 500)
    world.act(campaign.id, "pause")
    world.run(hours=0.1)
    out, begun = with_state(world, campaign.id, S.OFFERED), world.now
    assert out < 1300
    world.act(campaign.id, "cancel")
    world.run(lambda: with_state(world, campaign.id, S.CANCELLED) == DEVICES, hours=1)
    assert with_state(world, campaign.id, S.CANCELLED) == DEVICES
    assert world.now - begun <= timedelta(seconds=out / RATE_PER_S + 15)
    world.check_counters(campaign.id)


def test_cancelling_comes_before_a_campaign_of_the_highest_priority() -> None:
    devices = fleet(DEVICES)
    world = CampaignWorld(devices, outcome=lambda _device: None, rate_per_s=RATE_PER_S)
    low = world.post(key="low", targets={"devices": devices[:1000]}, gate=PATIENT)
    world.run(lambda: with_state(world, low.id, S.OFFERED) == 1000)
    high = world.post(key="high", targets={"devices": devices[1000:]}, priority=1000, gate=PATIENT)
    world.run(lambda: with_state(world, high.id, S.OFFERED) >= 100)
    assert reserved_s(world) > 30, "the hub is taken for a while"
    begun = world.now
    world.act(low.id, "cancel")
    world.run(lambda: with_state(world, low.id, S.CANCELLED) == 1000, hours=1)
    # What was reserved before still goes out; then 1,000 updates at 50 a second, and nobody else's between.
    assert world.now - begun <= timedelta(seconds=70 + 1000 / RATE_PER_S + 15)
    world.run(lambda: with_state(world, high.id, S.OFFERED) == 2000, hours=1)
    assert with_state(world, high.id, S.OFFERED) == 2000


def test_a_walk_whose_messages_come_twice_and_in_disorder_ends_the_same() -> None:
    world = silent_world(faults=Faults(duplicated=0.3, reordered=True, seed=3))
    campaign = running(world, 500)
    world.act(campaign.id, "cancel")
    world.run(lambda: with_state(world, campaign.id, S.CANCELLED) == DEVICES, hours=2)
    assert with_state(world, campaign.id, S.CANCELLED) == DEVICES
    sent = [read_batch_work(message.body) for message in world.bus.sent_to(Queue.DEVICE_BATCHES)]
    taken_back = Counter((work.batch.shard, work.batch.number) for work in sent if work.purpose is BatchPurpose.RECALL)
    assert set(taken_back.values()) == {1}
    world.check_counters(campaign.id)
