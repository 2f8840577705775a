"""Devices are left out by list and by saved group, as these were when the campaign was posted."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.errors import NotFound
from shared.domain.groups import group_name
from shared.handlers.keep_groups import GroupPorts, put_group
from shared.wire.http_fields import InvalidRequest
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died, Life, check_every_death

C = CampaignState
NORTH = "SELECT * FROM devices WHERE tags.site = 'north'"
LAB = "SELECT * FROM devices WHERE tags.lab = true"
OLD = "SELECT * FROM devices WHERE tags.age > 9"
BENCH = group_name("bench")
KEPT = {"list": "kept.txt", "group": "bench"}


def put(world: CampaignWorld, *, query: str = "", list_name: str = "") -> None:
    ports = GroupPorts(groups=world.groups, audit=world.audit)
    put_group(BENCH, ports, query=query, list_name=list_name, who="ada", now=world.now)


def scene(life: Life | None = None, size: int = 200) -> CampaignWorld:
    """A fleet, one list, and a group of another."""
    world = CampaignWorld(fleet(size), life=life, page_size=30)
    world.lists.blobs["kept.txt"] = b"dev-1\r\ndev-2\r\nelsewhere\r\n"
    world.lists.blobs["bench.txt"] = b"dev-2\ndev-3\n"
    return world


def test_a_list_and_a_group_of_a_list_are_left_out_as_they_were_when_the_campaign_was_posted() -> None:
    world = scene()
    put(world, list_name="bench.txt")
    campaign = world.post(targets={"query": NORTH, "exclude": KEPT | {"devices": ["dev-4", "dev-1"]}})
    said = campaign.spec.targeting
    assert (said.excluded, said.excluded_group, said.excluded_group_query) == (5, "bench", "")
    assert said.excluded_lists == ("kept.txt", "bench.txt")
    world.ports.specs.check(campaign)

    put(world, query=LAB)
    world.lists.blobs.clear()
    done = world.run_until(campaign.id, C.COMPLETED)
    assert done.planning.excluded == 4
    assert world.rollouts.rows(campaign.id).keys() == set(fleet(200)) - {"dev-1", "dev-2", "dev-3", "dev-4"}
    world.check_counters(campaign.id)


def test_a_group_of_a_query_is_left_out_beside_a_query() -> None:
    world = scene()
    put(world, query=OLD)
    world.directory.answers |= {LAB: ["dev-1"], OLD: ["dev-2", "elsewhere"]}
    campaign = world.post(targets={"query": NORTH, "exclude": {"query": LAB, "group": "bench"}})
    assert campaign.spec.targeting.excluded_queries == (LAB, OLD)
    put(world, list_name="bench.txt")
    world.run_until(campaign.id, C.COMPLETED)
    assert world.rollouts.rows(campaign.id).keys() == set(fleet(200)) - {"dev-1", "dev-2"}


def test_who_is_left_out_by_a_list_or_by_two_queries_does_not_join_later() -> None:
    world = scene(size=20)
    put(world, query=OLD)
    world.directory.answers |= {LAB: ["in the lab"], OLD: ["old"], NORTH: fleet(20)}
    targets = {"query": NORTH, "membership": "dynamic", "relist_s": 300}
    campaign = world.post(targets=targets | {"exclude": KEPT | {"query": LAB}}, waves=[{"count": 2}, {"rest": True}])
    world.run(lambda: bool(world.campaign(campaign.id).waves))
    world.directory.answers[NORTH] = [*fleet(20), "elsewhere", "new", "in the lab", "old"]
    world.run(hours=2)
    assert world.rollouts.rows(campaign.id).keys() == {*fleet(20), "new"} - {"dev-1", "dev-2"}
    world.check_counters(campaign.id)


@pytest.mark.parametrize("group_of", ["list", "query"])
def test_a_death_at_any_write_leaves_the_same_devices_out(group_of: str) -> None:
    """I4."""

    def run(life: Life) -> dict[str, Any]:
        world = scene(life, size=40)
        world.directory.answers[OLD] = ["dev-3"]
        put(world, **({"list_name": "bench.txt"} if group_of == "list" else {"query": OLD}))
        request: dict[str, Any] = {"targets": {"query": NORTH, "exclude": KEPT}}
        try:
            campaign = world.post(key="once", **request)
        except Died:
            campaign = world.post(key="once", **request)
        world.run_until(campaign.id, C.COMPLETED)
        world.run()
        world.check_counters(campaign.id)
        return world.end_state(campaign.id)

    expected = check_every_death(run)
    assert expected["campaign"] == (C.COMPLETED, 37, 0)


@pytest.mark.parametrize(
    ("exclude", "complaint"),
    [
        ({"list": "bad.txt"}, "targets.exclude.list: line 2 of bad.txt: "),
        ({"group": "bench"}, "targets.exclude.group: line 2 of bad.txt: "),
        ({"list": "all.txt"}, "targets.exclude: it leaves no device over"),
    ],
)
def test_an_exclusion_that_cannot_be_meant_is_refused_before_anything_is_written(
    exclude: dict[str, Any], complaint: str
) -> None:
    world = scene()
    world.lists.blobs |= {"bad.txt": b"dev-1\nno device\n", "all.txt": b"a\nb\n"}
    put(world, list_name="bad.txt")
    with pytest.raises(InvalidRequest) as refusal:
        world.post(targets={"devices": ["a", "b"], "exclude": exclude})
    assert refusal.value.message.startswith(complaint)
    assert not world.campaigns_known()


@pytest.mark.parametrize(
    ("exclude", "code"), [({"list": "none.txt"}, "list_not_found"), ({"group": "none"}, "group_not_found")]
)
def test_who_is_left_out_must_be_known(exclude: dict[str, Any], code: str) -> None:
    world = scene()
    with pytest.raises(NotFound) as refusal:
        world.post(targets={"query": NORTH, "exclude": exclude})
    assert refusal.value.code == code
