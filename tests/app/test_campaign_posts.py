"""Posting campaigns: once per key, for published packages, over devices that are free."""

from __future__ import annotations

from itertools import count

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.devices import DeviceRecord, claim
from shared.domain.errors import Conflict, NotFound
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.planning import PlanningPhase
from shared.domain.rollouts import RolloutState
from shared.ports.errors import QuotaExceeded, Throttled
from shared.ports.hub import DevicePage
from shared.ports.stored import Stored
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld, fleet

C, S = CampaignState, RolloutState


def test_the_same_request_under_the_same_key_is_the_same_campaign() -> None:
    world = CampaignWorld(fleet(3))
    assert world.post(key="monday") == world.post(key="monday")
    assert world.post().id != world.post().id


def test_the_same_key_for_another_request_is_refused() -> None:
    world = CampaignWorld(fleet(3))
    first = world.post(key="monday", targets={"devices": ["a", "b"]})
    with pytest.raises(Conflict, match=rf"{first.id}.*Not the same: targets.devices, priority$"):
        world.post(key="monday", targets={"devices": ["a", "c"]}, priority=7)
    with pytest.raises(Conflict, match=r"Not the same: allow_downgrade$"):
        world.post(key="monday", targets={"group": "gone"}, allow_downgrade=True)
    assert world.run_until(first.id, C.COMPLETED).targets == 2


def test_an_unknown_package_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"there is no package thermostat 9\.9\.9") as refusal:
        CampaignWorld().post(package={"name": "thermostat", "version": "9.9.9"})
    assert refusal.value.code == "package_not_found"


def test_a_package_that_is_not_in_the_index_yet_is_not_found_and_says_so() -> None:
    with pytest.raises(NotFound, match="accepted, not yet published") as refusal:
        CampaignWorld().post(package={"name": "thermostat", "version": "3.0.0"})
    assert refusal.value.code == "package_not_found"


def test_devices_held_by_a_running_campaign_are_skipped_and_the_plan_says_so() -> None:
    """I3: a device that two campaigns want is in the hands of the first."""
    world = CampaignWorld(outcome=lambda _device: None)
    first = world.post(targets={"devices": ["a", "b", "c"]})
    world.run_until(first.id, C.RUNNING)
    second = world.post(name="second", targets={"devices": ["b", "c", "d"]})
    found = world.run_until(second.id, C.RUNNING)
    assert found.planning.skipped == 2
    rows = world.rollouts.rows(second.id)
    assert (rows[DeviceId("b")].state, rows[DeviceId("b")].code) == (S.SKIPPED, f"held_by:{first.id}")
    assert rows[DeviceId("d")].state is not S.SKIPPED
    world.check_counters(second.id)


def test_a_hold_on_an_ended_row_is_taken_over_with_a_higher_sequence() -> None:
    world = CampaignWorld()
    first = world.post(targets={"devices": ["a"]}, gate={"soak_s": 3600})
    world.run(lambda: any(row.state is S.SUCCEEDED for row in world.rollouts.rows(first.id).values()))
    assert world.campaign(first.id).state is C.RUNNING
    second = world.post(name="second", targets={"devices": ["a"]})
    world.run_until(second.id, C.COMPLETED)
    assert world.rollouts.rows(second.id)[DeviceId("a")].sequence == 2


def test_a_device_claimed_but_without_its_row_yet_counts_as_held_while_its_campaign_is_open() -> None:
    """I4: the first campaign died between claiming and writing the rows, and the second plans meanwhile."""
    world = CampaignWorld(outcome=lambda _device: None)
    device = DeviceId("a")
    first = world.post(targets={"devices": [device]})
    world.run(lambda: world.campaign(first.id).planning.phase is PlanningPhase.CLAIMING)
    world.bus.waiting.clear()
    claimed = claim(DeviceRecord(device=device, changed_at=NOON), first.id, now=NOON)
    world.device_rows.write([Stored(value=claimed, etag="")])
    second = world.post(name="second", targets={"devices": [device]})
    world.run(lambda: bool(world.rollouts.rows(second.id)))
    assert world.rollouts.rows(second.id)[device].code == f"held_by:{first.id}"


def test_a_hold_of_a_finished_campaign_without_a_row_is_stale() -> None:
    """I4: the first campaign died between claiming and writing the rows, and was cancelled then."""
    world = CampaignWorld()
    device = DeviceId("a")
    first = world.post(targets={"devices": [device]})
    claimed = claim(DeviceRecord(device=device, changed_at=NOON), first.id, now=NOON)
    world.device_rows.write([Stored(value=claimed, etag="")])
    world.act(first.id, "cancel")
    second = world.post(name="second", targets={"devices": [device]})
    assert world.run_until(second.id, C.COMPLETED).planning.skipped == 0


def test_a_campaign_posted_after_the_hub_was_scaled_sees_the_holds_and_goes_on_counting() -> None:
    """I4: the number of shards follows the hub's size, what is known of a device does not."""
    world = CampaignWorld(fleet(20), shards=1)
    first = world.post()
    world.run_until(first.id, C.COMPLETED)
    world.outcome = lambda _device: None
    holding = world.post(name="holding", targets={"devices": fleet(20)[:5]})
    world.run(lambda: len(world.rollouts.rows(holding.id)) == 5)
    world.shards = 2
    later = world.post(name="later")
    world.run(lambda: len(world.rollouts.rows(later.id)) == 20)
    skipped = [row for row in world.rollouts.rows(later.id).values() if row.state is S.SKIPPED]
    assert {row.code for row in skipped} == {f"held_by:{holding.id}"}
    assert {row.sequence for row in world.rollouts.rows(later.id).values()} == {2}
    assert len(skipped) == 5


def test_a_throttled_listing_waits_and_goes_on() -> None:
    """I6: throttling makes a campaign slower, never wrong."""
    world = CampaignWorld(fleet(250))
    world.directory.failures = [Throttled("429"), Throttled("429", retry_after_s=30)]
    campaign = world.post()
    assert world.run_until(campaign.id, C.COMPLETED).targets == 250
    assert (world.now - campaign.created_at).total_seconds() >= 45


def test_a_listing_throttled_halfway_keeps_what_it_has() -> None:
    world = CampaignWorld(fleet(250), page_size=10)
    list_page, calls = world.directory.list_page, count()

    def throttled_now_and_then(query: str, continuation: str = "") -> DevicePage:
        if next(calls) % 4 == 3:
            raise Throttled("429")
        return list_page(query, continuation)

    world.directory.list_page = throttled_now_and_then  # type: ignore[method-assign]
    campaign = world.post()
    done = world.run_until(campaign.id, C.COMPLETED)
    assert (done.targets, done.planning.listed) == (250, 250)


def test_the_daily_quota_pauses_a_listing_until_somebody_resumes() -> None:
    """I6: the daily quota pauses a campaign."""
    world = CampaignWorld(fleet(250))
    world.directory.failures = [QuotaExceeded("403002")]
    campaign = world.post()
    assert "quota" in world.run_until(campaign.id, C.PAUSED).reason
    world.act(campaign.id, "resume")
    assert world.run_until(campaign.id, C.COMPLETED).targets == 250


def test_a_list_that_another_request_wrote_over_is_noticed() -> None:
    world = CampaignWorld()
    campaign = world.post(targets={"devices": ["a", "b"]})
    world.manifests.write_page(campaign.id, 0, [DeviceId("z")])
    assert "not the one that was posted" in world.run_until(campaign.id, C.ABORTED).reason


def test_ten_thousand_devices_named_one_by_one_are_planned() -> None:
    world = CampaignWorld(rate_per_s=5_000)
    campaign = world.post(
        targets={"devices": [f"dev-{number}" for number in range(10_000)]}, waves=[{"percent": 1}, {"rest": True}]
    )
    done = world.run_until(campaign.id, C.COMPLETED)
    assert [wave.devices for wave in done.waves] == [100, 9_900]
    world.check_counters(CampaignId(campaign.id))
