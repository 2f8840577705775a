"""Whole campaigns while queues repeat, reorder and lose messages and the process dies at every write in turn."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import DeviceId
from shared.domain.rollouts import RolloutState
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died, Faults, Life, check_every_death

C, S = CampaignState, RolloutState
REQUEST: dict[str, Any] = {"key": "once", "waves": [{"count": 1}, {"percent": 20}, {"rest": True}]}
ENDS = (C.COMPLETED, C.PAUSED, C.ABORTED)


def post_at_last(world: CampaignWorld) -> Campaign:
    """Post as a client does: again under the same key when the service dies."""
    try:
        return world.post(**REQUEST)
    except Died:
        return world.post(**REQUEST)


def run_to_rest(world: CampaignWorld) -> dict[str, Any]:
    campaign = post_at_last(world)
    world.run_until(campaign.id, *ENDS)
    world.run()
    world.check_counters(campaign.id)
    world.check_audit(campaign.id)
    assert not world.refused
    assert len(world.starts) == len(set(world.starts))
    return world.end_state(campaign.id)


def fails_late(device: DeviceId) -> RolloutState:
    return S.FAILED if device in ("dev-13", "dev-14", "dev-15") else S.SUCCEEDED


def calm(size: int = 30, **options: Any) -> dict[str, Any]:
    return run_to_rest(CampaignWorld(fleet(size), **options))


@pytest.mark.parametrize("seed", range(8))
def test_repeated_and_reordered_messages_end_in_the_same_tables(seed: int) -> None:
    """I3, I4, I5: however often and in whatever order messages come."""
    faults = Faults(duplicated=0.4, reordered=True, seed=seed)
    assert run_to_rest(CampaignWorld(fleet(30), faults=faults)) == calm()


@pytest.mark.parametrize("seed", range(8))
def test_lost_messages_are_made_up_for_by_the_minute_sweep(seed: int) -> None:
    """I4: queues are wake-ups, tables are the truth."""
    faults = Faults(duplicated=0.2, dropped=0.3, reordered=True, seed=seed)
    end = run_to_rest(CampaignWorld(fleet(30), faults=faults))
    assert end["rows"] == calm()["rows"]
    assert end["campaign"] == (C.COMPLETED, 30, 0)


@pytest.mark.parametrize("seed", range(4))
def test_a_stopped_campaign_stops_in_the_same_wave_whatever_the_queues_do(seed: int) -> None:
    """I5: no wave starts behind a gate that did not pass."""
    faults = Faults(duplicated=0.4, reordered=True, seed=seed)
    stopped = run_to_rest(CampaignWorld(fleet(30), faults=faults, outcome=fails_late))
    assert stopped["campaign"] == calm(outcome=fails_late)["campaign"] == (C.PAUSED, 30, 0)
    assert stopped["waves"] == calm(outcome=fails_late)["waves"]


@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_a_death_at_any_write_ends_in_the_same_tables(dies_after_the_write: bool) -> None:
    """I3, I4, I5: the process dies once, just before or just after each write of the whole campaign in turn."""
    life = Life()
    expected = run_to_rest(CampaignWorld(fleet(30), life=life))
    assert life.writes > 50
    for left in range(life.writes):
        world = CampaignWorld(fleet(30), life=Life(left=left, dies_after_the_write=dies_after_the_write))
        assert run_to_rest(world) == expected, f"died at write {left}"
        assert world.life.left is None


def test_a_death_at_any_write_of_a_cancellation_ends_in_the_same_tables() -> None:
    """I4, I9: a cancelled campaign takes everything back, wherever it died."""

    def cancelled(life: Life) -> dict[str, Any]:
        world = CampaignWorld(fleet(30), life=life, outcome=lambda _device: None)
        campaign = post_at_last(world)
        world.run_until(campaign.id, C.RUNNING)
        world.run(lambda: world.campaign(campaign.id).waves[0].started_at is not None)
        try:
            world.act(campaign.id, "cancel")
        except Died:
            world.act(campaign.id, "cancel")
        world.run()
        world.check_counters(campaign.id)
        return world.end_state(campaign.id)

    expected = check_every_death(cancelled)
    assert {row[3] for row in expected["rows"]} == {S.CANCELLED}
    assert {held for *_, held in expected["devices"]} == {""}


def test_a_topic_that_is_down_holds_nothing_up() -> None:
    world = CampaignWorld(fleet(10))
    world.events.is_down = True
    assert run_to_rest(world)["campaign"] == (C.COMPLETED, 10, 0)
