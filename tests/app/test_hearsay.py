"""What a dry run and a plan say of named devices of which nobody has heard, and where that is known from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.devices import DeviceRecord, make_known
from shared.domain.groups import group_name
from shared.domain.hearsay import MAX_NAMED, Hearsay, Named
from shared.domain.ids import DeviceId
from shared.domain.planning import PlanningPhase
from shared.handlers.keep_groups import GroupPorts, put_group
from shared.handlers.note_lifecycle import LifecyclePorts, note_lifecycle
from shared.handlers.restore_devices import restore_devices
from shared.handlers.show_campaigns import show_campaign
from shared.ports.hub import KnownTwin
from shared.ports.stored import Page, Stored
from shared.wire.twin_events import LifecycleEvent, LifecycleKind
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.data_plane import DataPlane
from tests.support.dry_run_world import DryRunWorld
from tests.support.mortal import Died, Life, check_every_death

DEVICES = fleet(240)
STRANGERS, GONE = DEVICES[:3], DEVICES[3:5]
LISTED: dict[str, Any] = {"targets": {"devices": DEVICES}}


def know(world: CampaignWorld, devices: Sequence[str], **fields: Any) -> None:
    """The table has rows of the devices, which exist."""
    for device in devices:
        record = make_known(DeviceRecord(device=DeviceId(device), changed_at=NOON), now=NOON)
        world.device_rows.write([Stored(value=replace(record, **fields), etag="")])


def know_most(world: CampaignWorld) -> None:
    know(world, DEVICES[5:])
    know(world, GONE, deleted_at=NOON)


def codes(world: DryRunWorld, **request: Any) -> dict[str, str]:
    plan = world.plan(world.start(**request))
    return {warning.code: warning.message for warning in plan.warnings}


def test_a_dry_run_names_whom_nobody_has_heard_of_and_who_is_gone() -> None:
    world = DryRunWorld()
    know_most(world.campaigns)
    operation = world.start(**LISTED)
    plan = world.plan(operation)
    assert (plan.unheard.count, set(plan.unheard.devices)) == (3, set(STRANGERS))
    assert (plan.gone.count, set(plan.gone.devices)) == (2, set(GONE))
    warned = {warning.code: warning for warning in plan.warnings}
    assert warned["unheard_devices"].message.startswith("nobody has heard of 3 of 240 devices (")
    assert all(device in warned["unheard_devices"].message for device in STRANGERS)
    assert warned["gone_devices"].message.startswith("2 of 240 devices (")
    assert {warned[code].field for code in ("unheard_devices", "gone_devices")} == {"targets.devices"}
    world.check_untouched(operation)


def test_a_first_campaign_is_not_told_that_its_whole_fleet_is_misspelt() -> None:
    world = DryRunWorld()
    warned = codes(world, **LISTED)
    assert "unheard_devices" not in warned
    assert "240 of 240 devices yet, as is usual before a first campaign" in warned["fleet_unheard_of"]
    know_most(world.campaigns)
    assert "fleet_unheard_of" not in codes(world, **LISTED)


def test_a_fleet_that_is_known_is_not_warned_about() -> None:
    world = DryRunWorld()
    know(world.campaigns, DEVICES)
    assert not {"unheard_devices", "fleet_unheard_of", "gone_devices"} & set(codes(world, **LISTED))


def test_devices_that_the_hub_itself_named_are_not_doubted() -> None:
    world = DryRunWorld(DEVICES)
    done = world.run(world.start().id)
    assert done.findings.heard == Hearsay()


@pytest.mark.parametrize(("saved", "field"), [("list", "targets.list"), ("group", "targets.group")])
def test_lists_and_groups_of_lists_are_looked_at_too(saved: str, field: str) -> None:
    world = DryRunWorld()
    know_most(world.campaigns)
    world.campaigns.lists.blobs["north.txt"] = "\n".join(DEVICES).encode()
    if saved == "group":
        ports = GroupPorts(groups=world.campaigns.ports.groups, audit=world.campaigns.ports.audit)
        put_group(group_name("north"), ports, query="", list_name="north.txt", who="ada", now=NOON)
    name = "north.txt" if saved == "list" else "north"
    plan = world.plan(world.start(targets={saved: name}))
    assert plan.unheard.count == 3
    assert field in {warning.field for warning in plan.warnings if warning.code == "unheard_devices"}


class CountedReads:
    """A ``DeviceStore`` that counts its reads."""

    def __init__(self, devices: Any) -> None:
        self.reads = 0
        self._devices = devices

    def __getattr__(self, name: str) -> Any:
        self.reads += name == "read_batch"
        return getattr(self._devices, name)


def test_it_costs_no_read_of_the_table_beyond_one_for_each_batch() -> None:
    world = DryRunWorld()
    counted: Any = CountedReads(world.campaigns.device_rows)
    world.ports = replace(world.ports, campaigns=replace(world.ports.campaigns, devices=counted))
    operation = world.start(**LISTED)
    assert counted.reads == sum(wave.batches for wave in operation.draft.waves)


def planned(life: Life, *, key: str = "once") -> Hearsay:
    """What the plan of a campaign says, whose process may die while it is made."""
    world = CampaignWorld(life=life, outcome=lambda _device: None)
    know_most(world)
    try:
        campaign = world.post(key=key, waves=[{"count": 5}, {"rest": True}], **LISTED)
    except Died:
        campaign = world.post(key=key, waves=[{"count": 5}, {"rest": True}], **LISTED)
    world.run(lambda: world.campaign(campaign.id).planning.phase is PlanningPhase.DONE)
    shown = show_campaign(campaign.id, world.view_ports).plan
    heard = world.campaign(campaign.id).planning.heard
    assert (shown.unheard.count, shown.gone.count) == (heard.unheard.count, heard.gone.count)
    return heard


def test_a_plan_says_the_same_wherever_planning_died() -> None:
    """I4: a batch is counted with the cursor that says that it is claimed, and a claim is no news of a device."""
    heard = check_every_death(planned)
    assert (heard.looked_at, heard.unheard.count, heard.gone.count) == (240, 3, 2)
    assert (set(heard.unheard.first), set(heard.gone.first)) == (set(STRANGERS), set(GONE))


def test_only_the_first_are_named_and_all_are_counted() -> None:
    known = Named()
    for device in DEVICES:
        known = known.and_also([DeviceId(device)])
    assert known == Named(count=len(DEVICES), first=tuple(map(DeviceId, DEVICES[:MAX_NAMED])))


# Who writes what is known of a device.

NAMES = ["gw-0", "gw-1", "gw-2"]


def offered_but_for_one() -> DataPlane:
    """A campaign has offered the package to two devices, and the hub does not know the third."""
    plane = DataPlane(NAMES)
    plane.hub.delete(DeviceId("gw-2"))
    plane.dispatch()
    return plane


def heard_of(plane: DataPlane) -> dict[str, bool]:
    return {name: plane.record(name).is_heard_of for name in NAMES}


def test_a_claim_says_nothing_of_a_device_and_the_written_offer_does() -> None:
    plane = offered_but_for_one()
    assert heard_of(plane) == dict.fromkeys(NAMES, False)
    plane.pass_time(8 * 86_400)
    plane.visit()
    assert heard_of(plane) == {"gw-0": True, "gw-1": True, "gw-2": False}, "silent devices exist, too"
    assert plane.record("gw-2").deleted_at == plane.now
    before = plane.record("gw-2")
    plane.pass_time(60)
    plane.visit()
    assert plane.record("gw-2") == before


def note(plane: DataPlane, kind: LifecycleKind, device: str) -> None:
    ports = LifecyclePorts(
        facts=plane.facts(), rollouts=plane.rollouts, devices=plane.devices, twins=plane.hub, sender=plane.bus
    )
    note_lifecycle(LifecycleEvent(kind=kind, device=DeviceId(device)), ports, now=plane.now)


def test_a_device_made_after_it_was_not_found_is_heard_of_whenever_the_campaign_lets_it_go() -> None:
    plane = offered_but_for_one()
    plane.hub.reported[DeviceId("gw-2")] = {"$version": 1}
    plane.pass_time(1)
    note(plane, LifecycleKind.CREATED, "gw-2")
    plane.pass_time(1)
    plane.visit()
    assert plane.record("gw-2").is_heard_of
    del plane.hub.reported[DeviceId("gw-2")]
    note(plane, LifecycleKind.DELETED, "gw-2")
    assert not plane.record("gw-2").is_heard_of


def test_a_device_that_no_campaign_met_is_heard_of_once_it_is_made_without_a_look_at_its_twin() -> None:
    plane = offered_but_for_one()
    plane.hub.reads.clear()
    for _ in range(2):
        plane.hub.reported[DeviceId("new")] = {"$version": 1}
        note(plane, LifecycleKind.CREATED, "new")
        assert plane.devices.read_batch([DeviceId("new")])[DeviceId("new")].value.is_heard_of
        assert plane.hub.reads.total() <= 1, "only the repeat of the event asks"
    note(plane, LifecycleKind.DELETED, "stranger")
    assert not plane.devices.read_batch([DeviceId("stranger")])


def test_restoring_the_table_from_the_twins_tells_of_every_device_there_is() -> None:
    class Twins:
        def list_twins(self, continuation: str = "") -> Page[KnownTwin]:
            silent = [KnownTwin(device=DeviceId(each), sequence=0, installed={}, hardware="") for each in DEVICES]
            return Page(items=tuple(silent), continuation="")

    world = DryRunWorld()
    know(world.campaigns, GONE, deleted_at=NOON)
    rows = world.campaigns.device_rows
    assert restore_devices(Twins(), rows, now=NOON, pause=lambda _: None).rows == len(DEVICES)
    assert restore_devices(Twins(), rows, now=NOON, pause=lambda _: None).rows == 0
    plan = world.plan(world.start(**LISTED))
    assert (plan.unheard.count, plan.gone.count) == (0, 0)
