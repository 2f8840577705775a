"""One campaign with several packages: each device gets the one for its hardware, or is left out with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.devices import DeviceRecord
from shared.domain.errors import NotFound
from shared.domain.hub_queries import check_query
from shared.domain.ids import DeviceId
from shared.domain.joining import newcomers_query
from shared.domain.planning import PlanningPhase
from shared.domain.plans import digest_plan
from shared.domain.rollouts import RolloutState
from shared.domain.variants import MAX_PACKAGES
from shared.handlers.pause_campaign import pause_campaigns_of
from shared.handlers.plan_campaign import CLAIM_BATCHES
from shared.ports.errors import Throttled
from shared.ports.stored import Stored
from shared.wire.http_campaign_views import view_campaign
from shared.wire.http_fields import InvalidRequest
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import CampaignWorld
from tests.support.memory_hub import MemoryHub
from tests.support.mortal import Died, Life, check_every_death

C, S = CampaignState, RolloutState
BOTH: dict[str, Any] = {
    "package": None,
    "packages": [{"name": "fw-a", "version": "2.0.0"}, {"name": "fw-b", "version": "3.0.0"}],
}
HARDWARE = {"a-1": "gw-1", "a-2": "gw-2", "b-1": "gw-3", "b-2": "gw-3", "c-1": "camera", "d-1": ""}


def world_of(hardware: dict[str, str], *, known: bool = True, **options: Any) -> CampaignWorld:
    """A fleet of those kinds, which the ``devices`` table knows, or only the twins."""
    world = CampaignWorld(list(hardware), **options)
    world.packages.publish("fw-a", "2.0.0", ("gw-1", "gw-2"))
    world.packages.publish("fw-b", "3.0.0", ("gw-3",), length_bytes=8192)
    for device, kind in hardware.items():
        if known:
            know(world, device, kind)
        else:
            world.twins.reported[DeviceId(device)] = {"device": {"hardware": kind}, "$version": 1}
    return world


def listing_of(hardware: dict[str, str], **options: Any) -> CampaignWorld:
    """A fleet that the table does not know, and whose listing hands out twins."""
    world = world_of(hardware, known=False, **options)
    world.directory.hardware = {DeviceId(device): kind for device, kind in hardware.items()}
    return world


def know(world: CampaignWorld, device: str, kind: str, **fields: Any) -> None:
    record = DeviceRecord(device=DeviceId(device), hardware=kind, changed_at=NOON, **fields)
    world.device_rows.write([Stored(value=record, etag="")])


def chosen(world: CampaignWorld, campaign: Campaign) -> dict[str, str]:
    """Device to the package that its row says, or to the code it is skipped with."""
    return {
        row.device: row.code if row.state is S.SKIPPED else campaign.package_of(row).name
        for row in world.rollouts.rows(campaign.id).values()
    }


EXPECTED = {
    "a-1": "fw-a",
    "a-2": "fw-a",
    "b-1": "fw-b",
    "b-2": "fw-b",
    "c-1": "no_package",
    "d-1": "no_package",
}


@pytest.mark.parametrize("known", [True, False])
def test_a_mixed_fleet_gets_the_package_for_its_hardware(known: bool) -> None:
    """What the table does not know, the twins say: in a report, or before any campaign."""
    world = world_of(HARDWARE, known=known)
    campaign = world.post(**BOTH)
    done = world.run_until(campaign.id, C.COMPLETED)
    assert chosen(world, done) == EXPECTED
    assert (done.planning.no_package, done.planning.by_variant) == (2, (2, 2))
    assert done.reason == "all 1 waves passed; for 2 of 6 devices none of its packages is known to be"
    details = {row.device: row.detail for row in world.rollouts.rows(campaign.id).values()}
    assert "camera" in details["c-1"]
    assert "neither" in details["d-1"]
    world.check_counters(campaign.id)
    world.check_audit(campaign.id)
    view = view_campaign(done, {}, {})
    assert [(each.name, each.hardware, each.devices) for each in view.packages] == [
        ("fw-a", ["gw-1", "gw-2"], 2),
        ("fw-b", ["gw-3"], 2),
    ]
    assert view.plan.no_package == 2


def test_what_a_twin_said_is_kept_so_that_it_is_read_once() -> None:
    world = world_of(HARDWARE, known=False)
    world.run_until(world.post(**BOTH).id, C.COMPLETED)
    assert world.twins.reads[DeviceId("a-1")] == 1
    record = world.device_rows.read_batch([DeviceId("a-1")])[DeviceId("a-1")].value
    assert record.hardware == "gw-1"
    world.run()
    world.run_until(world.post(**BOTH | {"name": "again"}).id, C.COMPLETED)
    assert world.twins.reads[DeviceId("a-1")] == 1
    assert world.twins.reads[DeviceId("c-1")] == 1, "also of a device that gets nothing"
    assert world.twins.reads[DeviceId("d-1")] == 2, "nobody knows it yet"


def test_what_the_listing_handed_out_is_not_read_again() -> None:
    """Several pages, and more batches than are claimed in one step."""
    kinds = {f"a-{number}": "gw-1" for number in range(130)} | {f"b-{number}": "gw-3" for number in range(120)}
    world = listing_of(kinds | {"c-1": "camera", "d-1": ""}, page_size=10, shards=1)
    waves = [{"percent": 30}, {"rest": True}]
    campaign = world.post(waves=waves, bandwidth_bytes_per_s=1_024, **BOTH)
    world.run(lambda: world.campaign(campaign.id).planning.phase is PlanningPhase.DONE, hours=1)
    planned = world.campaign(campaign.id)
    assert planned.waves[1].batches > CLAIM_BATCHES
    assert (planned.planning.by_variant, planned.planning.no_package) == ((130, 120), 2)
    assert dict(world.twins.reads) == {"d-1": 1}, "the one whose twin said nothing yet when it was listed"
    records = world.device_rows.read_batch([DeviceId("b-7"), DeviceId("c-1")])
    assert {device: row.value.hardware for device, row in records.items()} == {"b-7": "gw-3", "c-1": "camera"}


def test_what_the_table_knows_comes_before_what_a_listing_said() -> None:
    """Queries lag behind; a row has what a device reported."""
    world = listing_of({"b-1": "gw-3"})
    know(world, "b-1", "gw-3")
    world.directory.hardware[DeviceId("b-1")] = "gw-1"
    campaign = world.post(**BOTH)
    assert chosen(world, world.run_until(campaign.id, C.COMPLETED)) == {"b-1": "fw-b"}


def test_a_device_that_a_listing_is_wrong_about_harms_only_itself() -> None:
    """Its own agent holds the package against what it is, as ever."""
    world = listing_of({"a-1": "gw-1", "b-1": "gw-3"})
    world.directory.hardware[DeviceId("b-1")] = "gw-1"
    world.outcome = lambda device: S.REJECTED if device == "b-1" else S.SUCCEEDED
    campaign = world.post(gate={"success_percent": 50, "failure_percent": None}, **BOTH)
    done = world.run_until(campaign.id, C.COMPLETED)
    assert chosen(world, done) == {"a-1": "fw-a", "b-1": "fw-a"}
    assert world.rollouts.rows(campaign.id)[DeviceId("b-1")].state is S.REJECTED


def test_a_listing_tells_only_campaigns_of_several_packages() -> None:
    world = listing_of(HARDWARE)
    for kept, packages in ((False, {"package": {"name": "fw-a", "version": "2.0.0"}}), (True, BOTH)):
        campaign = world.post(**packages)
        world.run_until(campaign.id, C.COMPLETED)
        world.run()
        assert [bool(world.manifests.read_hardware(campaign.id, wave, 0)) for wave in (0, 1)] == [kept, kept]


def test_hardware_that_becomes_known_counts_from_the_next_campaign_on() -> None:
    world = world_of({"d-1": "", "a-1": "gw-1"}, known=False)
    first = world.post(**BOTH)
    assert chosen(world, world.run_until(first.id, C.COMPLETED)) == {"d-1": "no_package", "a-1": "fw-a"}
    world.run()
    world.twins.reported[DeviceId("d-1")] = {"update": {"hardware": "gw-3"}, "$version": 2}
    second = world.post(**BOTH | {"name": "again"})
    assert chosen(world, world.run_until(second.id, C.COMPLETED))["d-1"] == "fw-b"


def test_a_campaign_of_one_package_asks_nobody_for_hardware() -> None:
    world = world_of(HARDWARE, known=False)
    campaign = world.post(package={"name": "fw-a", "version": "2.0.0"})
    done = world.run_until(campaign.id, C.COMPLETED)
    assert set(chosen(world, done).values()) == {"fw-a"}
    assert (done.planning.by_variant, sum(world.twins.reads.values())) == ((), 0)


def test_a_device_is_current_by_the_package_that_is_for_it() -> None:
    world = world_of({"a-1": "gw-1", "b-1": "gw-3"}, known=False)
    for device, kind in (("a-1", "gw-1"), ("b-1", "gw-3")):
        know(world, device, kind, installed={"fw-a": "2.0.0", "fw-b": "1.0.0"})
        world.twins.reported[DeviceId(device)] = {"update": {"installed": {"fw-a": "2.0.0"}}, "$version": 1}
    campaign = world.post(**BOTH)
    done = world.run_until(campaign.id, C.COMPLETED)
    assert chosen(world, done) == {"a-1": "current", "b-1": "fw-b"}
    rows = {row.device: row for row in world.rollouts.rows(campaign.id).values()}
    assert (rows["b-1"].former_version, rows["a-1"].former_version) == ("1.0.0", "2.0.0")
    assert done.planning.by_variant == (0, 1)


def test_a_waiting_device_has_its_package_chosen_already() -> None:
    world = world_of({"b-1": "gw-3"}, outcome=lambda _device: None)
    busy = world.post()
    world.run_until(busy.id, C.RUNNING)
    waiting = world.post(**BOTH | {"name": "second", "on_conflict": "wait"})
    world.run_until(waiting.id, C.RUNNING)
    [row] = world.rollouts.rows(waiting.id).values()
    assert (row.code, row.variant, row.hardware) == (f"waits_for:{busy.id}", 1, "gw-3")
    world.act(busy.id, "cancel")
    world.outcome = lambda _device: S.SUCCEEDED
    done = world.run_until(waiting.id, C.COMPLETED)
    assert chosen(world, done) == {"b-1": "fw-b"}


def test_a_device_taken_over_gets_the_package_for_its_hardware() -> None:
    world = world_of({"b-1": "gw-3"})
    lower = world.post(priority=100, approval={"required": 1})
    world.run_until(lower.id, C.AWAITING_APPROVAL)
    higher = world.post(**BOTH | {"name": "second", "on_conflict": "supersede", "priority": 900})
    done = world.run_until(higher.id, C.COMPLETED)
    assert chosen(world, done) == {"b-1": "fw-b"}
    [taken] = world.rollouts.rows(lower.id).values()
    assert taken.code == f"superseded_by:{higher.id}"


def test_batches_under_a_bandwidth_are_cut_for_the_largest_package() -> None:
    kinds = {f"a-{number}": "gw-1" for number in range(40)}
    batches = {}
    for name, packages in (("one", {"package": {"name": "fw-b", "version": "3.0.0"}}), ("two", BOTH)):
        world = world_of(kinds, shards=1)
        campaign = world.post(bandwidth_bytes_per_s=1_024, **packages)
        world.run(lambda: world.campaign(campaign.id).planning.phase is PlanningPhase.DONE, hours=1)  # noqa: B023
        batches[name] = world.campaign(campaign.id).waves[0].batches
    assert batches["one"] == batches["two"] > 1


def known_to_table(hardware: dict[str, str], **options: Any) -> CampaignWorld:
    return world_of(hardware, known=True, **options)


def known_to_twins(hardware: dict[str, str], **options: Any) -> CampaignWorld:
    return world_of(hardware, known=False, **options)


@pytest.mark.parametrize("make", [known_to_table, known_to_twins, listing_of])
def test_a_death_at_any_write_ends_in_the_same_tables(make: Callable[..., CampaignWorld]) -> None:
    def run(life: Life) -> tuple[Any, ...]:
        world = make(HARDWARE, life=life, shards=1, page_size=2)
        try:
            campaign = world.post(key="once", **BOTH)
        except Died:
            campaign = world.post(key="once", **BOTH)
        done = world.run_until(campaign.id, C.COMPLETED)
        world.run()
        world.check_counters(campaign.id)
        return chosen(world, done), done.planning.by_variant, done.planning.no_package, world.end_state(campaign.id)

    expected = check_every_death(run)
    assert expected[:3] == (EXPECTED, (2, 2), 2)


def test_twins_that_cannot_be_read_now_hold_the_planning_up() -> None:
    world = world_of(HARDWARE, known=False)
    world.twins.failures += [Throttled("429"), Throttled("429")]
    campaign = world.post(**BOTH)
    assert chosen(world, world.run_until(campaign.id, C.COMPLETED)) == EXPECTED


class ScarceHub(MemoryHub):
    """It answers two reads of twins in a quarter of a minute."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__()
        self._clock = clock
        self._read: Counter[datetime] = Counter()

    def read_reported(self, device: DeviceId) -> Mapping[str, Any] | None:
        self._read[self._clock()] += 1
        if self._read[self._clock()] > 2:
            raise Throttled("429")
        return super().read_reported(device)


def test_a_hub_that_answers_less_than_a_batch_at_a_time_is_asked_on_from_where_it_stopped() -> None:
    worlds: list[CampaignWorld] = []
    hub = ScarceHub(lambda: worlds[0].now)
    kinds = {f"a-{number}": "gw-1" for number in range(9)}
    worlds.append(world_of(kinds, known=False, shards=1, stores={"twins": hub}))
    campaign = worlds[0].post(**BOTH)
    done = worlds[0].run_until(campaign.id, C.COMPLETED)
    assert done.planning.by_variant == (9, 0)
    assert dict(hub.reads) == dict.fromkeys(kinds, 1)


def test_newcomers_get_the_package_for_their_hardware() -> None:
    world = world_of({"a-1": "gw-1"})
    campaign = world.post(targets={"query": "SELECT * FROM devices", "membership": "dynamic", "relist_s": 60}, **BOTH)
    world.run(lambda: chosen(world, world.campaign(campaign.id)) == {"a-1": "fw-a"})
    world.directory.devices += [DeviceId("b-9"), DeviceId("c-9")]
    know(world, "b-9", "gw-3")
    know(world, "c-9", "camera")
    world.run(lambda: len(world.rollouts.rows(campaign.id)) == 3 and not world.bus.waiting, hours=2)
    joined = world.campaign(campaign.id)
    assert chosen(world, joined) == {"a-1": "fw-a", "b-9": "fw-b", "c-9": "no_package"}
    assert (joined.planning.by_variant, joined.planning.no_package) == ((1, 1), 1)


@pytest.mark.parametrize("hands_out", [True, False])
def test_newcomers_that_the_table_does_not_know_are_known_by_their_listing(hands_out: bool) -> None:
    world = world_of({"a-1": "gw-1"})
    campaign = world.post(targets={"query": "SELECT * FROM devices", "membership": "dynamic", "relist_s": 60}, **BOTH)
    world.run(lambda: chosen(world, world.campaign(campaign.id)) == {"a-1": "fw-a"})
    for device, kind in (("b-9", "gw-3"), ("c-9", "camera")):
        world.directory.devices.append(DeviceId(device))
        world.twins.reported[DeviceId(device)] = {"device": {"hardware": kind}, "$version": 1}
        if hands_out:
            world.directory.hardware[DeviceId(device)] = kind
    world.run(lambda: len(world.rollouts.rows(campaign.id)) == 3 and not world.bus.waiting, hours=2)
    assert chosen(world, world.campaign(campaign.id)) == {"a-1": "fw-a", "b-9": "fw-b", "c-9": "no_package"}
    assert dict(world.twins.reads) == ({} if hands_out else {"b-9": 1, "c-9": 1})


def test_a_newcomer_that_has_never_said_what_it_is_joins_once_it_has() -> None:
    """A device is made long before it is switched on: it must not be left out for good meanwhile."""
    world = world_of({"a-1": "gw-1"})
    query = "SELECT * FROM devices WHERE tags.site = 'north' OR tags.site = 'west'"
    campaign = world.post(targets={"query": query, "membership": "dynamic", "relist_s": 60}, **BOTH)
    asked = newcomers_query(campaign)
    check_query(asked)
    assert asked.startswith("SELECT * FROM devices WHERE (tags.site = 'north' OR tags.site = 'west') AND (IS_DEFINED(")
    world.directory.devices.append(DeviceId("b-9"))
    world.directory.answers = {query: ["a-1"], asked: ["a-1"]}
    world.run(lambda: world.now > NOON + timedelta(minutes=10), hours=1)
    assert set(world.rollouts.rows(campaign.id)) == {"a-1"}
    world.directory.answers[asked].append("b-9")
    world.twins.reported[DeviceId("b-9")] = {"device": {"hardware": "gw-3"}, "$version": 2}
    world.run(lambda: len(world.rollouts.rows(campaign.id)) == 2, hours=2)
    assert chosen(world, world.campaign(campaign.id)) == {"a-1": "fw-a", "b-9": "fw-b"}


def test_withdrawing_any_of_its_packages_pauses_the_campaign_for_good() -> None:
    world = world_of(HARDWARE, outcome=lambda _device: None)
    campaign = world.post(**BOTH)
    running = world.run_until(campaign.id, C.RUNNING)
    other = world.post(name="other", targets={"devices": ["c-1"]})
    world.run_until(other.id, C.RUNNING)
    assert pause_campaigns_of(running.packages[1], "its package was withdrawn", world.ports, now=world.now) == 1
    assert world.campaign(campaign.id).state is C.PAUSED
    assert world.campaign(other.id).state is C.RUNNING


@pytest.mark.parametrize(
    ("packages", "complaint"),
    [
        ([("fw-a", "2.0.0"), ("fw-x", "1.0.0")], r"packages\.1: there is no package fw-x 1\.0\.0"),
        ([("fw-a", "2.0.0"), ("thermostat", "3.0.0")], r"packages\.1: package thermostat 3\.0\.0 is accepted, not yet"),
        ([("fw-a", "2.0.0"), ("fw-a", "2.0.0")], r"packages\.1: it is for gw-1, gw-2, as packages\.0 is"),
        ([("any", "1.0.0"), ("fw-a", "2.0.0")], r"packages\.0: any 1\.0\.0 is for any hardware"),
        ([("fw-a", "2.0.0")], "packages: List should have at least 2"),
        ([("fw-a", "2.0.0")] * (MAX_PACKAGES + 1), f"packages: List should have at most {MAX_PACKAGES}"),
    ],
)
def test_packages_that_cannot_go_together_are_refused_by_field(packages: list[Any], complaint: str) -> None:
    world = world_of({})
    world.packages.publish("any", "1.0.0", ())
    asked = [{"name": name, "version": version} for name, version in packages]
    with pytest.raises(InvalidRequest, match=complaint):
        world.post(package=None, packages=asked)
    assert not world.campaigns_known()


def test_packages_for_more_hardware_than_a_row_holds_are_refused() -> None:
    """They would be refused by the table, as an error that nobody understands."""
    world = world_of({})
    world.packages.publish("long", "1.0.0", tuple(f"{number:0100d}" for number in range(300)))
    asked = [{"name": "fw-a", "version": "2.0.0"}, {"name": "long", "version": "1.0.0"}]
    with pytest.raises(InvalidRequest, match="packages: their records hold 31"):
        world.post(package=None, packages=asked)


def test_every_package_that_cannot_be_had_is_named() -> None:
    asked = [{"name": "fw-x", "version": "1"}, {"name": "fw-a", "version": "2.0.0"}, {"name": "fw-y", "version": "1"}]
    with pytest.raises(InvalidRequest, match=r"packages\.0: .*; packages\.2: "):
        world_of({}).post(package=None, packages=asked)


@pytest.mark.parametrize("changes", [{"packages": BOTH["packages"]}, {"package": None}])
def test_one_package_or_several_and_not_both(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="give exactly one of package and packages"):
        world_of({}).post(**changes)


def test_one_unknown_package_is_not_found_as_ever() -> None:
    with pytest.raises(NotFound):
        world_of({}).post(package={"name": "fw-x", "version": "1"})


def test_what_is_approved_says_how_many_get_which_package() -> None:
    """Approvals are for a plan: were other packages chosen, it would be another plan."""
    digests = set()
    for kind in ("gw-1", "gw-3"):
        world = world_of({"a-1": "gw-1", "x-1": kind}, outcome=lambda _device: None)
        digests.add(digest_plan(world.run_until(world.post(key="same", **BOTH).id, C.RUNNING)))
    assert len(digests) == 2
