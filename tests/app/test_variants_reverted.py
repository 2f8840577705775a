"""Reverting a campaign of several packages: each device gets the former version of its own one back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.ids import DeviceId
from shared.domain.reversions import ReversionPhase
from shared.domain.reverting import child_id
from shared.domain.rollouts import Rollout
from shared.ports.stored import Stored
from tests.app.test_variants_planned import BOTH, know, world_of
from tests.support.campaign_world import CampaignWorld
from tests.support.mortal import Died, Life, check_every_death

C = CampaignState
FLEET = {"a-1": "gw-1", "a-2": "gw-2", "b-1": "gw-3", "b-2": "gw-3", "c-1": "camera"}
RAN = {"a-1": {"fw-a": "1.0.0"}, "a-2": {"fw-a": "1.0.0"}, "b-1": {"fw-b": "1.0.0"}, "b-2": {}}


def world_that_ran(ran: dict[str, dict[str, str]], **options: Any) -> CampaignWorld:
    world = world_of({}, **options)
    world.directory.devices += [DeviceId(device) for device in FLEET]
    for device, kind in FLEET.items():
        know(world, device, kind, installed=ran.get(device, {}))
    world.packages.publish("fw-a", "1.0.0", ("gw-1", "gw-2"))
    world.packages.publish("fw-b", "1.0.0", ("gw-3",))
    return world


def revert(world: CampaignWorld, **request: Any) -> Campaign:
    try:
        campaign = world.post(key="once", **(BOTH | request))
    except Died:
        campaign = world.post(key="once", **(BOTH | request))
    world.run_until(campaign.id, C.COMPLETED)
    try:
        world.act(campaign.id, "revert")
    except Died:
        world.act(campaign.id, "revert")
    return world.run_until(campaign.id, C.REVERTED, C.ABORTED)


def children(world: CampaignWorld, parent: Campaign) -> dict[str, list[str]]:
    """Package and version to the devices that got them back."""
    found = {}
    for identity in world.campaigns_known() - {parent.id}:
        child = world.campaign(identity)
        found[f"{child.target.name} {child.target.version}"] = sorted(world.rollouts.rows(identity))
    return found


def test_every_device_gets_the_former_version_of_its_own_package_back() -> None:
    world = world_that_ran(RAN)
    reverted = revert(world)
    assert children(world, reverted) == {"fw-a 1.0.0": ["a-1", "a-2"], "fw-b 1.0.0": ["b-1"]}
    assert f"{child_id(reverted.id, 'fw-b 1.0.0')} (fw-b 1.0.0) is completed" in reverted.reason
    assert "1 devices stay as they are, because nobody knows what they ran before" in reverted.reason


def test_a_reverting_that_dies_at_any_write_ends_the_same() -> None:
    def run(life: Life) -> dict[str, list[str]]:
        world = world_that_ran(RAN, life=life, shards=1)
        return children(world, revert(world))

    expected = check_every_death(run, every=2)
    assert len(expected) == 2


@pytest.mark.parametrize("several", [True, False])
def test_a_device_cannot_name_another_package_as_its_former_version(several: bool) -> None:
    """What it says is any text; which package is meant, the campaign says."""
    world = world_that_ran(RAN)
    world.packages.publish("evil", "6.6.6", ())
    world.describe = _lie
    request = {} if several else {"package": {"name": "fw-a", "version": "2.0.0"}, "packages": None}
    reverted = revert(world, **request)
    assert "evil 6.6.6" not in children(world, reverted)
    assert "evil 6.6.6 was never published" in reverted.reason


def test_nobody_who_writes_tables_and_blobs_brings_another_package_to_devices_that_go_back() -> None:
    """Which versions come back is in a row that nobody signs; of which packages, is signed."""
    world = world_that_ran(RAN)
    world.packages.publish("evil", "6.6.6", ("gw-1", "gw-2", "gw-3"))
    campaign = world.post(**BOTH)
    world.run_until(campaign.id, C.COMPLETED)
    world.act(campaign.id, "revert")
    world.run(lambda: _is_starting(world, campaign))
    stored = world.campaigns.get(campaign.id)
    order = stored.value.reversion
    assert order is not None
    forged = replace(order, pages={"evil 6.6.6": 1}, devices={"evil 6.6.6": 2}, digests={})
    world.manifests.write_page(child_id(campaign.id, "evil 6.6.6"), 0, [DeviceId("a-1"), DeviceId("b-1")])
    world.campaigns.save(Stored(value=replace(stored.value, reversion=forged), etag=stored.etag))
    world.run_until(campaign.id, C.REVERTED, C.ABORTED)
    assert children(world, campaign) == {}


def _is_starting(world: CampaignWorld, campaign: Campaign) -> bool:
    order = world.campaign(campaign.id).reversion
    return order is not None and order.phase is ReversionPhase.STARTING


def _lie(row: Rollout) -> Rollout:
    return replace(row, former_version="evil 6.6.6")


def test_packages_of_one_name_are_reverted_by_the_version_that_devices_ran() -> None:
    """Two builds of one package under versions of their own: what devices ran before may be one for both."""
    world = world_that_ran({"a-1": {"fw-a": "1.0.0"}, "b-1": {"fw-a": "1.0.0"}, "b-2": {"fw-a": "0.9.0"}})
    world.packages.publish("fw-a", "2.0.1", ("gw-3",))
    world.packages.publish("fw-a", "0.9.0", ())
    packages = [{"name": "fw-a", "version": version} for version in ("2.0.0", "2.0.1")]
    reverted = revert(world, packages=packages)
    assert reverted.planning.by_variant == (2, 2)
    assert children(world, reverted) == {"fw-a 1.0.0": ["a-1", "b-1"], "fw-a 0.9.0": ["b-2"]}
    assert f"{child_id(reverted.id, '0.9.0')} (0.9.0) is completed" in reverted.reason
