"""Dry runs: what they say, what they leave alone, and that they end the same however they die."""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.devices import DeviceRecord
from shared.domain.errors import NotFound
from shared.domain.ids import DeviceId, OperationId
from shared.domain.operations import Operation, OperationState
from shared.domain.pacing import CHARGE_PER_DEVICE
from shared.handlers.dry_run import advance_operation
from shared.ports.bus import Queue
from shared.ports.errors import QuotaExceeded, Throttled
from shared.ports.stored import Stored
from shared.wire.http_dry_runs import ForecastView
from shared.wire.http_fields import InvalidRequest
from shared.wire.messages import OperationStep
from tests.support.campaign_sources import NOON
from tests.support.campaign_world import fleet
from tests.support.dry_run_world import DryRunWorld
from tests.support.mortal import Died, Life

WAVES = [{"name": "canary", "count": 3}, {"name": "tenth", "percent": 10}, {"name": "all", "rest": True}]


def listed(devices: int) -> dict[str, Any]:
    return {"targets": {"devices": fleet(devices)}, "waves": WAVES}


def knows(world: DryRunWorld, device: str, version: str) -> None:
    """The devices table says that the device runs this version."""
    record = DeviceRecord(device=DeviceId(device), installed={"thermostat": version}, changed_at=NOON)
    world.campaigns.device_rows.write([Stored(value=record, etag="")])


def test_a_list_is_answered_at_once_and_nothing_is_written() -> None:
    world = DryRunWorld()
    operation = world.start(**listed(250))
    plan = world.plan(operation)
    assert plan.basis == "exact"
    assert [(wave.name, wave.devices) for wave in plan.waves] == [("canary", 3), ("tenth", 25), ("all", 222)]
    world.check_untouched(operation)
    assert world.campaigns.life.writes == 0


def test_devices_that_are_held_or_current_are_counted_and_get_no_offer() -> None:
    world = DryRunWorld(outcome=lambda _device: None)
    holder = world.campaigns.post(targets={"devices": fleet(30)})
    world.campaigns.run(lambda: len(world.campaigns.rollouts.rows(holder.id)) == 30)
    for device in fleet(40)[30:35]:
        knows(world, device, "2.0.0")
    knows(world, fleet(40)[35], "1.0.0")
    plan = world.plan(world.start(**listed(40)))
    assert plan.conflicts.count == 30
    assert len(plan.conflicts.devices) == 20
    assert {conflict.campaign for conflict in plan.conflicts.devices} == {holder.id}
    assert plan.current == 5
    assert (plan.devices, plan.usage.twin_writes, plan.usage.egress_bytes) == (40, 5, 5 * 4096)
    assert "devices_held" in {warning.code for warning in plan.warnings}


def test_devices_that_run_a_higher_version_are_warned_about() -> None:
    world = DryRunWorld(outcome=lambda _device: None)
    for device, version in zip(fleet(40), ("2.0.1", "10.0.0", "2.0.0", "1.9.9", "unreadable"), strict=False):
        knows(world, device, version)

    def warned(**request: Any) -> list[str]:
        plan = world.plan(world.start(**listed(40), **request))
        return [each.message for each in plan.warnings if each.code == "newer_devices"]

    [message] = warned()
    assert message.startswith("2 of 40 devices run a higher version and would reject the package as a downgrade")
    assert warned(allow_downgrade=True) == []


def test_devices_that_are_waited_for_get_their_offer_in_the_end() -> None:
    world = DryRunWorld(outcome=lambda _device: None)
    holder = world.campaigns.post(targets={"devices": fleet(30)})
    world.campaigns.run(lambda: len(world.campaigns.rollouts.rows(holder.id)) == 30)
    plan = world.plan(world.start(**listed(40), on_conflict="wait"))
    assert (plan.conflicts.count, plan.usage.twin_writes) == (30, 40)
    [message] = [each.message for each in plan.warnings if each.code == "devices_held"]
    assert "would wait for them; who is waited for gets a time slot of its own" in message
    seconds = 30 * CHARGE_PER_DEVICE / world.campaigns.budget.get().value.rate_per_s
    assert f"takes up to {math.ceil(seconds)} s for all" in message


def test_a_query_is_an_operation_with_an_estimate_first_and_exact_waves_in_the_end() -> None:
    world = DryRunWorld(fleet(2_300))
    operation = world.start(waves=WAVES)
    first = world.plan(operation)
    assert (operation.state, first.basis, first.devices) == (OperationState.RUNNING, "estimate", 1_000)
    done = world.run(operation.id)
    last = world.plan(done)
    assert (done.state, last.basis, last.devices) == (OperationState.SUCCEEDED, "exact", 2_300)
    assert [wave.devices for wave in last.waves] == [3, 230, 2_067]
    assert done.findings.looked_at == 2_300
    world.check_untouched(done)


def plan_and_run(devices: int, **options: Any) -> tuple[ForecastView, DryRunWorld, float]:
    """A plan, and the world after the campaign that it was for, with the seconds that it took."""
    world = DryRunWorld(fleet(devices), **options)
    plan = world.plan(world.run(world.start(waves=WAVES, gate={"soak_s": 600}).id))
    began, already = world.campaigns.now, len(world.campaigns.bus.sent)
    campaign = world.campaigns.post(waves=WAVES, gate={"soak_s": 600})
    world.campaigns.run_until(campaign.id, CampaignState.COMPLETED)
    del world.campaigns.bus.sent[:already]
    return plan, world, (world.campaigns.now - began).total_seconds()


@pytest.mark.parametrize("shards", [1, 3])
def test_what_was_planned_is_what_happens(shards: int) -> None:
    plan, world, _ = plan_and_run(1_500, shards=shards)
    (campaign,) = world.campaigns.campaigns.list_page(size=2).items
    found = world.campaigns.campaign(campaign.id)
    assert [wave.devices for wave in plan.waves] == [wave.devices for wave in found.waves]
    # Which shard a wave's devices are in depends on the campaign's id, which a draft does not have yet.
    for planned, real in zip(plan.waves, found.waves, strict=True):
        assert abs(planned.batches - real.batches) < shards
    messages = Counter(entry.queue for entry in world.campaigns.bus.sent)
    assert abs(plan.usage.signatures - messages[Queue.DEVICE_BATCHES]) < len(WAVES) * shards
    assert messages[Queue.BATCH_DEADLINES] == 2 * messages[Queue.DEVICE_BATCHES]
    assert plan.usage.twin_writes == len(world.campaigns.rollouts.rows(campaign.id))
    assert 0.8 * plan.usage.queue_messages <= messages.total() <= 1.02 * plan.usage.queue_messages


def test_the_expected_duration_is_a_lower_bound_and_a_close_one() -> None:
    plan, _, took_s = plan_and_run(3_000, rate_per_s=50.0)
    assert plan.duration.seconds == pytest.approx(3_000 * 5 / 50 + 3 * 600)
    assert plan.duration.seconds * 0.98 <= took_s <= plan.duration.seconds * 1.1


def calm(devices: int = 230) -> Operation:
    world = DryRunWorld(fleet(devices), page_size=10)
    return world.run(world.start(key="once", waves=WAVES).id)


def known(operation: Operation) -> tuple[Any, ...]:
    return operation.state, operation.findings, operation.draft.waves, operation.draft.targets


@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_a_death_at_any_write_ends_in_the_same_plan(dies_after_the_write: bool) -> None:
    """I4: the process dies once, just before or just after each write of the whole dry run in turn."""
    life = Life()
    quiet = DryRunWorld(fleet(230), page_size=10, life=life)
    quiet.run(quiet.start(key="once", waves=WAVES).id)
    assert life.writes > 15
    for left in range(life.writes):
        world = DryRunWorld(fleet(230), page_size=10, life=Life(left=left, dies_after_the_write=dies_after_the_write))
        try:
            operation = world.start(key="once", waves=WAVES)
        except Died:
            operation = world.start(key="once", waves=WAVES)
        done = world.run(operation.id)
        assert known(done) == known(calm()), f"died at write {left}"
        world.check_untouched(done)


def test_a_message_that_comes_twice_or_late_does_nothing() -> None:
    world = DryRunWorld(fleet(2_300))
    operation = world.start(waves=WAVES)
    late = OperationStep(operation=operation.id, step=operation.step)
    advance_operation(late, world.ports, now=world.campaigns.now)
    once = world.found(operation.id)
    advance_operation(late, world.ports, now=world.campaigns.now)
    assert world.found(operation.id) == once
    done = world.run(operation.id)
    advance_operation(late, world.ports, now=world.campaigns.now)
    assert world.found(operation.id) == done


def test_a_query_that_the_hub_refuses_is_refused_at_once() -> None:
    world = DryRunWorld()
    with pytest.raises(InvalidRequest, match="targets: the IoT Hub refuses the query"):
        world.start(targets={"query": "SELECT * FROM devices WHERE BROKEN"})
    assert not list(world.operations.list_unfinished())


def test_a_query_that_finds_nobody_fails_with_the_reason() -> None:
    world = DryRunWorld()
    done = world.run(world.start().id)
    assert (done.state, done.reason) == (OperationState.FAILED, "no device matches the query; nothing to roll out")


def test_a_throttled_listing_waits_and_goes_on() -> None:
    """I6: throttling makes it slower, never wrong."""
    world = DryRunWorld(fleet(50))
    world.campaigns.directory.failures = [Throttled("429"), Throttled("429", retry_after_s=30)]
    done = world.run(world.start().id)
    assert (done.state, done.draft.targets) == (OperationState.SUCCEEDED, 50)
    assert (world.campaigns.now - NOON).total_seconds() >= 45


def test_a_used_up_quota_ends_a_dry_run_because_nobody_resumes_one() -> None:
    world = DryRunWorld(fleet(2_300))
    operation = world.start()
    world.campaigns.directory.failures = [QuotaExceeded("403002")]
    done = world.run(operation.id)
    assert done.state is OperationState.FAILED
    assert "daily message quota" in done.reason


def test_an_unknown_package_and_an_unknown_operation_are_not_found() -> None:
    world = DryRunWorld()
    with pytest.raises(NotFound, match=r"thermostat 9\.9"):
        world.start(package={"name": "thermostat", "version": "9.9"})
    with pytest.raises(NotFound, match="no operation"):
        advance_operation(OperationStep(operation=OperationId("o1"), step=1), world.ports, now=NOON)


def test_the_same_request_under_the_same_key_is_one_dry_run() -> None:
    world = DryRunWorld(fleet(1_200))
    first = world.start(key="monday")
    assert world.start(key="monday") == first
    assert world.start(key="monday", allow_downgrade=True).id != first.id
    assert world.start(key="tuesday").id != first.id


def test_ten_thousand_ids_are_answered_at_once() -> None:
    world = DryRunWorld()
    plan = world.plan(world.start(targets={"devices": [f"dev-{number}" for number in range(10_000)]}))
    assert (plan.basis, plan.devices) == ("exact", 10_000)


def test_a_request_is_compared_with_the_campaign_of_its_key() -> None:
    world = DryRunWorld(fleet(5))
    assert world.existing("monday") is None
    campaign = world.campaigns.post(key="monday", waves=WAVES)
    same = world.existing("monday", waves=WAVES)
    assert same is not None
    assert (same.id, same.same_request, same.differences) == (campaign.id, True, [])
    other = world.existing("monday", waves=[*WAVES[:1], {"name": "all", "rest": True}], allow_downgrade=True)
    assert other is not None
    assert not other.same_request
    fields = {each.field: (each.campaign, each.request) for each in other.differences}
    assert fields["allow_downgrade"] == ("false", "true")
    assert fields["waves.1.name"] == ("tenth", "all")
    assert (fields["waves.2"][0] or "").startswith('{"name": "all", "rest": true')
    assert fields["waves.2"][1] is None


def test_a_campaign_behind_another_one_waits_for_the_hub() -> None:
    world = DryRunWorld(fleet(3_000), rate_per_s=50.0, outcome=lambda _device: None)
    busy = world.campaigns.post()
    world.campaigns.run(lambda: bool(world.campaigns.campaign(busy.id).waves and world.campaigns.starts))
    world.campaigns.run(lambda: world.campaigns.budget.writes > 0)
    plan = world.plan(world.start(targets={"devices": ["new-1", "new-2"]}))
    assert plan.duration.backlog_s > 0
    assert plan.waves[0].starts_after_s == plan.duration.backlog_s


def test_a_plan_begins_when_its_schedule_starts_and_what_others_reserved_is_over_by_then() -> None:
    world = DryRunWorld(fleet(3_000), rate_per_s=50.0, outcome=lambda _device: None)
    busy = world.campaigns.post()
    world.campaigns.run(lambda: bool(world.campaigns.campaign(busy.id).waves and world.campaigns.starts))
    world.campaigns.run(lambda: world.campaigns.budget.writes > 0)
    start = world.campaigns.now + timedelta(hours=3)
    schedule = {"start_at": start.isoformat(), "end_at": (start + timedelta(seconds=20)).isoformat()}
    plan = world.plan(world.start(targets={"devices": fleet(300)}, on_conflict="wait", schedule=schedule))
    assert (plan.duration.begins_at, plan.duration.seconds, plan.duration.backlog_s) == (start, 30, 0)
    assert plan.duration.ends_at == start + timedelta(seconds=30)
    assert "schedule_too_short" in {warning.code for warning in plan.warnings}


def test_further_attempts_are_told_apart_from_the_rest_of_the_plan() -> None:
    world = DryRunWorld()
    bare = world.plan(world.start(**listed(200)))
    tried = world.plan(world.start(**listed(200), retries={"maximum": 2}))
    assert bare.retries is None
    assert tried.retries is not None
    assert (tried.retries.assumed_failure_percent, tried.retries.offers) == (5, 11)
    slow = world.plan(world.start(**listed(200), retries={"maximum": 2}, rate={"devices_per_minute": 6}))
    assert slow.retries is not None
    assert (slow.retries.offers, slow.retries.dispatch_s) == (11, 110)
    assert (tried.usage.twin_writes, tried.usage.hub_messages) == (bare.usage.twin_writes, bare.usage.hub_messages)


def test_a_hub_with_too_small_a_quota_is_warned_of() -> None:
    world = DryRunWorld()
    plan = world.plan(world.start(**listed(100)), messages_per_day=400)
    assert plan.usage.hub_messages == 700
    assert "daily_quota" in {warning.code for warning in plan.warnings}


def test_of_several_packages_it_says_who_gets_which_and_who_gets_none() -> None:
    world = DryRunWorld()
    packages = world.campaigns.packages
    packages.publish("fw-a", "1.0.0", ("gw-1",), length_bytes=1_000)
    packages.publish("fw-b", "1.0.0", ("gw-2",), length_bytes=9_000)
    kinds = {"gw-1": 6, "gw-2": 2, "camera": 1, "": 1}
    devices = fleet(11)
    rest = iter(devices)
    for kind, count in kinds.items():
        for _ in range(count):
            record = DeviceRecord(device=DeviceId(next(rest)), hardware=kind, changed_at=NOON)
            world.campaigns.device_rows.write([Stored(value=record, etag="")])
    asked = [{"name": name, "version": "1.0.0"} for name in ("fw-a", "fw-b")]
    plan = world.plan(world.start(package=None, packages=asked, targets={"devices": devices}))
    assert [(each.name, each.devices) for each in plan.packages] == [("fw-a", 6), ("fw-b", 2)]
    assert (plan.no_package, plan.usage.twin_writes) == (1, 10), "whom nobody knows may well get an offer"
    assert plan.usage.egress_bytes == 10 * (6 * 1_000 + 2 * 9_000) / 8
    assert plan.usage.signatures == 2 * sum(wave.batches for wave in plan.waves)
    warnings = {each.code: each.message for each in plan.warnings}
    assert warnings["no_package"].startswith("none of the packages is for the hardware of 1 of 11 devices")
    assert "hardware of 2 of 11 devices" in warnings["unknown_hardware"]
    assert plan.usage.hub_messages == 7 * 10 + 2, "each of these two twins is read"
    assert not world.campaigns.twins.reads


def test_of_several_packages_it_knows_who_gets_which_from_the_listing() -> None:
    """The first campaign of a product line: the table knows nobody."""
    devices = fleet(1_200)
    world = DryRunWorld(devices)
    world.campaigns.packages.publish("fw-a", "1.0.0", ("gw-1",))
    world.campaigns.packages.publish("fw-b", "1.0.0", ("gw-2",))
    kinds = {device: "gw-1" if number % 3 else "gw-2" for number, device in enumerate(devices)}
    kinds |= {devices[0]: "camera", devices[1]: ""}
    world.campaigns.directory.hardware = {DeviceId(device): kind for device, kind in kinds.items()}
    asked = [{"name": name, "version": "1.0.0"} for name in ("fw-a", "fw-b")]
    done = world.run(world.start(package=None, packages=asked).id)
    plan = world.plan(done)
    assert [(each.name, each.devices) for each in plan.packages] == [("fw-a", 799), ("fw-b", 399)]
    assert (plan.no_package, plan.usage.twin_writes, plan.usage.hub_messages) == (1, 1_199, 7 * 1_199 + 1)
    assert "hardware of 1 of 1200 devices" in {each.code: each.message for each in plan.warnings}["unknown_hardware"]
    assert not world.campaigns.twins.reads
    world.check_untouched(done)


def test_of_one_package_it_says_nothing_of_hardware() -> None:
    world = DryRunWorld()
    plan = world.plan(world.start(**listed(20)))
    assert (plan.packages, plan.no_package) == ([], 0)
    assert not {"no_package", "unknown_hardware", "unused_package"} & {each.code for each in plan.warnings}
