"""Whole campaigns that go no faster than they were told, whatever the queues do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.ids import CampaignId
from shared.domain.rollouts import RolloutState
from shared.wire.campaign_rows import read_campaign, write_campaign_row, write_signed_spec, write_wave_row
from shared.wire.http_campaign_views import view_campaign
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.memory_campaigns import MemoryBudget
from tests.support.mortal import Died, Faults, Life

C, S = CampaignState, RolloutState
TEN_A_MINUTE = {"devices_per_minute": 10}
LENGTH = 4096


def offers(world: CampaignWorld, campaign: CampaignId) -> list[datetime]:
    """When devices were offered the package, in order; they succeed at once."""
    return sorted(row.changed_at for row in world.rollouts.rows(campaign).values() if row.state is S.SUCCEEDED)


def busiest(times: list[datetime], window_s: float) -> int:
    """The most offers in any window of the length, its end left out."""
    window = timedelta(seconds=window_s)
    return max(sum(begin <= at < begin + window for at in times) for begin in times)


def finished(world: CampaignWorld, **request: Any) -> list[datetime]:
    """The offers of a campaign that ran to its end."""
    try:
        campaign = world.post(key="once", **request).id
    except Died:
        campaign = world.post(key="once", **request).id
    world.run_until(campaign, C.COMPLETED)
    world.check_counters(campaign)
    return offers(world, campaign)


def test_a_constant_rate_is_kept_and_used() -> None:
    times = finished(CampaignWorld(fleet(60)), rate=TEN_A_MINUTE, waves=[{"count": 20}, {"rest": True}])
    assert len(times) == 60
    for minutes in (1, 2, 4):
        # Up to one batch, a minute's worth, may go at once.
        assert busiest(times, 60 * minutes) <= 10 * (minutes + 1)
    assert timedelta(minutes=5) <= times[-1] - times[0] <= timedelta(minutes=9)


@pytest.mark.parametrize("seed", range(4))
def test_repeats_losses_and_disorder_never_make_it_faster(seed: int) -> None:
    """I4, I6: the sweep sends lost steps again, and no message makes up for lost time."""
    faults = Faults(duplicated=0.3, dropped=0.1, reordered=True, seed=seed)
    times = finished(CampaignWorld(fleet(40), faults=faults), rate=TEN_A_MINUTE)
    assert len(times) == 40
    assert busiest(times, 60) <= 20


@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_a_death_at_any_write_never_makes_it_faster(dies_after_the_write: bool) -> None:
    life = Life()
    finished(CampaignWorld(fleet(25), life=life), rate=TEN_A_MINUTE)
    for left in range(life.writes):
        world = CampaignWorld(fleet(25), life=Life(left=left, dies_after_the_write=dies_after_the_write))
        times = finished(world, rate=TEN_A_MINUTE)
        assert len(times) == 25
        assert busiest(times, 60) <= 20, f"died at write {left}"


def test_a_rate_that_grows_starts_slowly_and_ends_at_its_maximum() -> None:
    rate = {"base_per_minute": 2, "factor": 2, "after_succeeded": 4, "maximum_per_minute": 30}
    times = finished(CampaignWorld(fleet(120)), rate=rate)
    gaps = [(at - before).total_seconds() for before, at in zip(times[::2], times[2::2], strict=False)]
    assert busiest(times, 60) <= 30 + 2
    assert times[4] - times[0] >= timedelta(minutes=1), "the base holds until enough have succeeded"
    assert gaps[-10:] == sorted(gaps[-10:]), "no faster than its maximum in the end"
    assert times[-1] - times[0] < timedelta(minutes=20), "60 minutes at the base"


def test_a_rate_that_grows_stays_at_its_base_while_nobody_succeeds() -> None:
    rate = {"base_per_minute": 2, "factor": 2, "after_succeeded": 1, "maximum_per_minute": 600}
    world = CampaignWorld(fleet(12), outcome=lambda _device: None)
    campaign = world.post(rate=rate).id
    world.run(lambda: world.now >= NOON + timedelta(minutes=4))
    assert 6 <= sum(row.state is S.OFFERED for row in world.rollouts.rows(campaign).values()) <= 10


def test_resuming_does_not_wait_again_for_what_was_offered_before() -> None:
    world = CampaignWorld(fleet(60))
    campaign = world.post(rate=TEN_A_MINUTE).id
    world.run(lambda: len(offers(world, campaign)) >= 40)
    world.act(campaign, "pause")
    world.run(lambda: False, hours=0.05)
    resumed_at = world.now
    world.act(campaign, "resume")
    world.run_until(campaign, C.COMPLETED)
    assert len(offers(world, campaign)) == 60
    assert world.now - resumed_at <= timedelta(minutes=5)


def test_a_campaigns_bandwidth_bounds_its_offers() -> None:
    """One device's package takes four seconds at it: fifteen devices a minute."""
    times = finished(CampaignWorld(fleet(60)), bandwidth_bytes_per_s=LENGTH // 4)
    assert 15 <= busiest(times, 60) <= 30
    assert times[-1] - times[0] >= timedelta(minutes=3)


def test_the_fleets_bandwidth_is_shared_by_all_campaigns() -> None:
    bandwidth = MemoryBudget(500.0, bandwidth_bytes_per_s=LENGTH)
    world = CampaignWorld(fleet(200), stores={"budget": bandwidth})
    halves = (fleet(200)[:100], fleet(200)[100:])
    campaigns = [world.post(targets={"devices": half}).id for half in halves]
    for campaign in campaigns:
        world.run_until(campaign, C.COMPLETED)
    times = sorted(at for campaign in campaigns for at in offers(world, campaign))
    assert len(times) == 200
    # A device a second, and what was handed out at once: a batch, and a horizon's worth.
    assert busiest(times, 60) <= 60 + 99 + 60
    assert times[-1] - times[0] >= timedelta(seconds=100)


def test_the_pace_is_kept_signed_and_shown() -> None:
    world = CampaignWorld(fleet(4))
    plain, paced = world.post(), world.post(rate=TEN_A_MINUTE, bandwidth_bytes_per_s=10**6)
    world.run_until(paced.id, C.COMPLETED)
    kept = world.campaign(paced.id)
    rows = [write_wave_row(kept, wave) for wave in kept.waves]
    assert read_campaign(write_campaign_row(kept), rows) == kept
    assert b"pace" in write_signed_spec(paced)
    assert b"pace" not in write_signed_spec(plain)
    old = {name: value for name, value in write_campaign_row(plain).items() if name != "paced"}
    assert read_campaign(old) == plain
    shown = view_campaign(kept, {}, {}).pace
    assert (shown.devices_per_minute, shown.bandwidth_bytes_per_s) == (10, 10**6)


def test_a_slow_campaign_reads_only_the_batches_it_may_let_go_soon() -> None:
    """A step that looked into its whole wave would cost more than what it dispatches."""
    world = CampaignWorld(fleet(60))
    campaign = world.post(rate={"devices_per_minute": 1}).id
    read, reads = world.rollouts.read_batch, []

    def read_and_count(*asked: Any) -> Any:
        reads.append(asked)
        return read(*asked)

    world.rollouts.read_batch = read_and_count  # type: ignore[method-assign]
    world.run(lambda: len(offers(world, campaign)) >= 20)
    # For each device: the dispatch, twice the offer and its outcome; and one or two batches for each of two looks.
    assert len(reads) <= 20 * (3 + 2 * 2) + 10
