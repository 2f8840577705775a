"""Saved groups and lists, and what campaigns make of them."""

from __future__ import annotations

import pytest

from shared.domain.campaign_specs import DeviceList, DeviceQuery
from shared.domain.campaigns import CampaignState
from shared.domain.errors import NotFound
from shared.domain.groups import chain_of, group_name
from shared.handlers.keep_groups import GroupPorts, delete_group, get_group, put_group
from shared.ports.errors import ConcurrentChange
from shared.wire.http_fields import InvalidRequest
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died, Life, Mortal

C = CampaignState
NORTH = group_name("north")
QUERY = "SELECT * FROM devices WHERE tags.site = 'north'"


def ports(world: CampaignWorld) -> GroupPorts:
    return GroupPorts(groups=world.ports.groups, audit=world.ports.audit)


def put(world: CampaignWorld, *, query: str = "", list_name: str = "", who: str = "ada") -> None:
    put_group(NORTH, ports(world), query=query, list_name=list_name, who=who, now=world.now)


def test_a_group_means_what_was_put_last_and_says_who_put_it() -> None:
    world = CampaignWorld()
    put(world, query=QUERY)
    put(world, list_name="north.txt", who="grace")
    group = get_group(NORTH, world.groups)
    assert (group.query, group.list_name, group.number, group.changed_by) == ("", "north.txt", 2, "grace")


def test_every_change_of_a_group_is_kept_once_whatever_is_repeated() -> None:
    """I9: putting and deleting twice are one deed each, and numbers go on rising behind a deletion."""
    world = CampaignWorld()
    for _ in range(2):
        put(world, query=QUERY)
    for _ in range(2):
        delete_group(NORTH, ports(world), who="grace", now=NOON)
    put(world, query=QUERY)
    deeds = [
        (entry.step, entry.what, entry.who, entry.before, entry.after) for entry in world.audit.read(chain_of(NORTH))
    ]
    assert deeds == [
        (1, "put-group", "ada", "absent", "query"),
        (2, "delete-group", "grace", "query", "absent"),
        (3, "put-group", "ada", "absent", "query"),
    ]


def test_a_deleted_group_is_not_found() -> None:
    world = CampaignWorld()
    with pytest.raises(NotFound, match="no group north"):
        delete_group(NORTH, ports(world), who="ada", now=NOON)
    put(world, query=QUERY)
    delete_group(NORTH, ports(world), who="ada", now=NOON)
    with pytest.raises(NotFound):
        get_group(NORTH, world.groups)
    with pytest.raises(NotFound) as refusal:
        world.post(targets={"group": "north"})
    assert refusal.value.code == "group_not_found"


@pytest.mark.parametrize("left", range(2))
def test_a_death_while_a_group_is_put_leaves_nothing_that_putting_it_again_does_not_mend(left: int) -> None:
    world = CampaignWorld(life=Life(left=left))
    with pytest.raises(Died):
        put(world, query=QUERY)
    put(world, query=QUERY)
    assert get_group(NORTH, world.groups).number == 1
    assert len(list(world.audit.read(chain_of(NORTH)))) == 1


def test_a_campaign_keeps_what_its_group_meant_when_it_was_posted() -> None:
    world = CampaignWorld(fleet(30))
    put(world, query=QUERY)
    world.directory.answers[QUERY] = ["a", "b"]
    campaign = world.post(key="once", targets={"group": "north"})
    put(world, list_name="north.txt")
    assert campaign.spec.targets == DeviceQuery(query=QUERY)
    assert campaign.spec.targeting.group == "north"
    assert world.post(key="once", targets={"group": "north"}) == campaign
    world.run_until(campaign.id, C.COMPLETED)
    assert sorted(world.rollouts.rows(campaign.id)) == ["a", "b"]


@pytest.mark.parametrize("targets", [{"list": "north.txt"}, {"group": "north"}])
def test_a_gate_that_asks_for_more_devices_than_a_list_holds_is_refused_before_anything_is_made(
    targets: dict[str, str],
) -> None:
    world = CampaignWorld()
    world.lists.blobs["north.txt"] = b"a\nb\nc\n"
    put(world, list_name="north.txt")
    waves = [{"count": 1}, {"rest": True, "gate": {"minimum_completed": 3}}]
    with pytest.raises(InvalidRequest, match=r"waves\.1\.gate\.minimum_completed: 3 devices .* wave of 2"):
        world.post(targets=targets, waves=waves)
    assert not world.campaigns_known()


def test_a_list_of_many_is_copied_when_the_campaign_is_posted() -> None:
    """12,000 ids, more than a request may name, with repeats; the blob is gone before they are planned."""
    world = CampaignWorld(rate_per_s=100_000)
    ids = [f"device-{number:05d}" for number in range(12_000)]
    world.lists.blobs["north.txt"] = "\r\n".join([*ids, ids[0]]).encode()
    put(world, list_name="north.txt")
    campaign = world.post(targets={"group": "north", "exclude": {"devices": ids[:1]}})
    assert isinstance(campaign.spec.targets, DeviceList)
    assert (campaign.spec.targets.count, campaign.spec.targeting.list_name) == (12_000, "north.txt")
    world.lists.blobs.clear()
    done = world.run_until(campaign.id, C.COMPLETED)
    assert done.targets == 11_999
    world.check_counters(campaign.id)


def test_a_list_that_is_not_there_or_no_list_is_refused_before_anything_is_written() -> None:
    world = CampaignWorld()
    world.lists.blobs["bad.txt"] = b"ok\nnot ok\n"
    with pytest.raises(NotFound, match=r"no list north\.txt") as refusal:
        world.post(targets={"list": "north.txt"})
    assert refusal.value.code == "list_not_found"
    with pytest.raises(InvalidRequest, match=r"line 2 of bad\.txt"):
        world.post(targets={"list": "bad.txt"})
    assert not list(world.campaigns.list_unfinished())


def test_posting_again_with_the_blob_changed_is_the_same_campaign_and_pages_written_over_are_refused() -> None:
    """Two posts under one key at the same moment, the blob changed between them: the pages are not what was signed."""
    world = CampaignWorld()
    world.lists.blobs["north.txt"] = b"a\nb\n"
    campaign = world.post(key="once", targets={"list": "north.txt"})
    world.lists.blobs["north.txt"] = b"a\nc\n"
    assert world.post(key="once", targets={"list": "north.txt"}) == campaign
    world.manifests.write_page(campaign.id, 0, ["a", "c"])  # type: ignore[list-item]
    assert "not the one that was posted" in world.run_until(campaign.id, C.ABORTED).reason


def test_two_who_put_a_group_at_once_do_not_write_over_each_other() -> None:
    world = CampaignWorld()
    put(world, query=QUERY)
    stale = world.groups.find(NORTH)
    put(world, list_name="north.txt")
    assert stale is not None
    with pytest.raises(ConcurrentChange):
        Mortal(world.groups, Life()).save(stale)
