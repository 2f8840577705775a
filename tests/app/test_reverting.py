"""Devices that took a package get their former one back, in gated campaigns of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.ids import CampaignId, DeviceId, shard_of
from shared.domain.reversions import Reversion
from shared.domain.reverting import child_id
from shared.domain.rollouts import RolloutState
from shared.domain.waves import WaveState
from shared.handlers.revert_campaign import MAX_IMPOSSIBLE
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from shared.wire.alerts import ALERT
from shared.wire.campaign_rows import write_campaign_row
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Life

S, C, W = RolloutState, CampaignState, WaveState
TWO_WAVES = [{"name": "canary", "count": 10, "gate": {"soak_s": 600}}, {"rest": True}]


def completed(former: str = "1.4.0", **fields: Any) -> tuple[CampaignWorld, Campaign]:
    world = CampaignWorld(fleet(60))
    world.packages.publish("thermostat", "1.4.0")
    campaign = world.post(waves=TWO_WAVES, **fields)
    world.run_until(campaign.id, C.COMPLETED)
    tell_former(world, campaign, former)
    return world, campaign


def tell_former(world: CampaignWorld, campaign: Campaign, former: str) -> None:
    """As the devices' reports do."""
    for shard in range(campaign.shards):
        for batch in (batch for wave in (1, 2) for batch in world.manifests.read_batches(campaign.id, wave)):
            if batch.shard == shard:
                rows = world.rollouts.read_batch(campaign.id, batch)
                changes = [RolloutChange(before=row, after=replace(row.value, former_version=former)) for row in rows]
                world.rollouts.write(campaign.id, shard, changes)


def test_an_operator_reverts_a_campaign_and_its_devices_get_their_former_version_in_its_waves() -> None:
    world, campaign = completed()
    world.act(campaign.id, "revert")
    reverted = world.run_until(campaign.id, C.REVERTED)
    child = world.campaign(child_id(campaign.id, "1.4.0"))
    assert (child.target.version, child.spec.allow_downgrade, child.targets) == ("1.4.0", True, 60)
    assert [(wave.spec.name, wave.devices) for wave in child.waves] == [("canary", 10), ("wave 2", 50)]
    assert {wave.spec.gate.soak_s for wave in child.waves} == {0}
    assert child.requested_by == f"revert of {campaign.id}"
    assert {row.state for row in world.rollouts.rows(child.id).values()} == {S.SUCCEEDED}
    assert reverted.reason == f"{child.id} (1.4.0) is completed"
    world.check_audit(campaign.id)
    world.check_audit(child.id)


def test_a_gate_reverts_the_campaign_that_it_stops() -> None:
    """Those that failed keep what they have: only who took the package gets the former one back."""
    world = CampaignWorld(fleet(60), outcome=lambda device: S.FAILED if device == bad else S.SUCCEEDED)
    bad: DeviceId | None = None
    world.packages.publish("thermostat", "1.4.0")
    campaign = world.post(waves=[{"count": 10}, {"rest": True}], gate={"on_stop": "revert", "success_percent": 0})
    world.run(lambda: bool(world.starts))
    bad = world.manifests.read_manifest(campaign.id)[-1]
    world.run(lambda: len(world.starts) == 2)
    tell_former(world, campaign, "1.4.0")
    world.run_until(campaign.id, C.REVERTED)
    rows = world.rollouts.rows(campaign.id).values()
    child = world.campaign(child_id(campaign.id, "1.4.0"))
    assert child.targets == sum(row.state is S.SUCCEEDED for row in rows)
    assert [entry.what for entry in world.audit.read(campaign.id)].count("stop") == 1


@pytest.mark.parametrize(("says", "goes_back"), [("2.0.0", True), ("1.4.0", False)])
def test_a_device_that_regressed_goes_back_if_it_says_that_it_runs_the_package_after_all(
    says: str, goes_back: bool
) -> None:
    """Its other slot booted once, and now it runs what the others run."""
    world, campaign = completed(on_late_failure="alert")
    world.regress_one(campaign.id)
    row = next(row for row in world.rollouts.rows(campaign.id).values() if row.state is S.REGRESSED)
    shard = shard_of(row.device, campaign.shards)
    before = world.rollouts.read_devices(campaign.id, shard, [row.device])[row.device]
    after = replace(before.value, installed_version=says)
    world.rollouts.write(campaign.id, shard, [RolloutChange(before=before, after=after)])
    world.act(campaign.id, "revert")
    world.run_until(campaign.id, C.REVERTED)
    child = child_id(campaign.id, "1.4.0")
    assert (row.device in world.rollouts.rows(child)) is goes_back
    assert world.campaign(child).targets == 59 + goes_back


@pytest.mark.parametrize(
    ("later", "installed", "goes_back"),
    [
        (1, {"thermostat": "3.0.0"}, False),
        (1, {"thermostat": "2.0.0"}, True),
        (1, {}, True),
        (1, {"thermostat": "1.4.0"}, True),
        (0, {"thermostat": "1"}, True),
    ],
    ids=["updated since", "a later campaign failed", "nobody knows", "claimed before it was noted", "not settled yet"],
)
def test_a_device_that_was_given_another_version_since_stays_where_it_is(
    later: int, installed: dict[str, str], goes_back: bool
) -> None:
    """Somebody reverts 2.0.0 after the device was brought to 3.0.0: it must not fall behind both."""
    world, campaign = completed()
    device = next(iter(world.rollouts.rows(campaign.id)))
    before = world.device_rows.read_batch([DeviceId(device)])[DeviceId(device)]
    moved = replace(before.value, sequence=before.value.sequence + later, installed=installed)
    world.device_rows.write([replace(before, value=moved)])
    world.act(campaign.id, "revert")
    reverted = world.run_until(campaign.id, C.REVERTED)
    child = child_id(campaign.id, "1.4.0")
    assert (device in world.rollouts.rows(child)) is goes_back
    assert (
        "1 devices stay as they are, because they were given another version since" in reverted.reason
    ) is not goes_back


def test_devices_whose_former_version_cannot_be_had_stay_and_are_told_of() -> None:
    world, campaign = completed(former="")
    world.act(campaign.id, "revert")
    assert world.run_until(campaign.id, C.REVERTED).reason == (
        "60 devices stay as they are, because nobody knows what they ran before"
    )
    world, campaign = completed(former="0.9.0")
    world.act(campaign.id, "revert")
    assert world.run_until(campaign.id, C.REVERTED).reason == (
        "60 devices stay as they are, because thermostat 0.9.0 was never published"
    )


def test_versions_that_devices_make_up_keep_nobody_from_going_back() -> None:
    """Every device says another one, some of them at length: the row of the campaign stays small."""
    world, campaign = completed()
    for shard in range(campaign.shards):
        batches = [batch for wave in (1, 2) for batch in world.manifests.read_batches(campaign.id, wave)]
        for batch in (each for each in batches if each.shard == shard):
            rows = world.rollouts.read_batch(campaign.id, batch)[1:]
            odd = ["", "x" * 4000, "\N{SNOWMAN}" * 90, "\x01" * 90]
            lies = [f"9.{shard}.{batch.number}.{number}" + odd[number % 4] for number in range(len(rows))]
            changes = [
                RolloutChange(before=row, after=replace(row.value, former_version=lie))
                for row, lie in zip(rows, lies, strict=True)
            ]
            world.rollouts.write(campaign.id, shard, changes)
    honest = [row for row in world.rollouts.rows(campaign.id).values() if row.former_version == "1.4.0"]
    world.act(campaign.id, "revert")
    reverted = world.run_until(campaign.id, C.REVERTED)
    child = world.campaign(child_id(campaign.id, "1.4.0"))
    assert (child.state, child.targets) == (C.COMPLETED, len(honest))
    assert reverted.reversion is not None
    assert sum(reverted.reversion.devices.values()) == 60
    assert len(reverted.reversion.devices) <= MAX_IMPOSSIBLE + 2
    assert len(reverted.reason) < 2_000
    assert len(write_campaign_row(reverted)["reversion"]) < 10_000


def test_more_published_versions_than_a_row_has_room_for_leave_the_last_where_they_are() -> None:
    """A nightly build has hundreds, and devices may name any of them."""
    world = CampaignWorld(fleet(120))
    campaign = world.post()
    world.run_until(campaign.id, C.COMPLETED)
    versions = [f"1.{number}.0-{'nightly' * 11}" for number in range(120)]
    for version in versions:
        world.packages.publish("thermostat", version)
    rest = iter(versions)
    for shard in range(campaign.shards):
        for row in list(world.rollouts.rows(campaign.id).values()):
            for found in world.rollouts.read_devices(campaign.id, shard, [row.device]).values():
                after = replace(found.value, former_version=next(rest))
                world.rollouts.write(campaign.id, shard, [RolloutChange(before=found, after=after)])
    world.act(campaign.id, "revert")
    reverted = world.run_until(campaign.id, C.REVERTED)
    assert reverted.reversion is not None
    assert len(write_campaign_row(reverted)["reversion"]) < 32_000
    left = reverted.reversion.devices["*"]
    assert len(reverted.reversion.children) == 120 - left
    assert (
        f"{left} devices stay as they are, because they ran more versions than one revert tells apart"
        in reverted.reason
    )


def test_devices_go_back_to_the_versions_they_came_from_each_in_a_campaign_of_its_own() -> None:
    world, campaign = completed()
    world.packages.publish("thermostat", "1.3.0")
    batch = world.manifests.read_batches(campaign.id, 2)[0]
    rows = world.rollouts.read_batch(campaign.id, batch)
    changes = [RolloutChange(before=row, after=replace(row.value, former_version="1.3.0")) for row in rows]
    world.rollouts.write(campaign.id, batch.shard, changes)
    world.act(campaign.id, "revert")
    world.run_until(campaign.id, C.REVERTED)
    counts = {version: world.campaign(child_id(campaign.id, version)).targets for version in ("1.3.0", "1.4.0")}
    assert counts == {"1.3.0": len(rows), "1.4.0": 60 - len(rows)}


def test_a_campaign_in_flight_takes_its_offers_back_first() -> None:
    world = CampaignWorld(fleet(60))
    world.packages.publish("thermostat", "1.4.0")
    campaign = world.post(waves=[{"count": 10}, {"rest": True}], gate={"silent_percent": None})
    world.run(lambda: len(world.starts) == 2)
    world.outcome = lambda _device: None
    tell_former(world, campaign, "1.4.0")
    world.run(lambda: S.OFFERED in {row.state for row in world.rollouts.rows(campaign.id).values()})
    world.outcome = lambda _device: S.SUCCEEDED
    world.act(campaign.id, "revert")
    world.run_until(campaign.id, C.REVERTED)
    rows = world.rollouts.rows(campaign.id).values()
    assert {row.state for row in rows} == {S.SUCCEEDED, S.CANCELLED}
    child = world.campaign(child_id(campaign.id, "1.4.0"))
    assert child.targets == sum(row.state is S.SUCCEEDED for row in rows)


def test_a_child_that_its_gate_stops_is_named_until_somebody_acts() -> None:
    world, campaign = completed()
    world.outcome = lambda _device: S.FAILED
    world.act(campaign.id, "revert")
    child = child_id(campaign.id, "1.4.0")
    world.run(lambda: child in world.campaigns_known() and world.campaign(child).state is C.PAUSED)
    world.run(hours=0.1)
    waiting = world.campaign(campaign.id)
    assert (waiting.state, waiting.reason) == (C.REVERTING, f"{child} (1.4.0) is paused")
    world.act(child, "cancel")
    assert world.run_until(campaign.id, C.REVERTED).reason == f"{child} (1.4.0) is aborted"


def test_reverting_twice_is_reverting_once_and_a_campaign_that_offered_nothing_has_nothing_to_revert() -> None:
    world, campaign = completed()
    assert world.act(campaign.id, "revert") == world.act(campaign.id, "revert")
    world.run_until(campaign.id, C.REVERTED)
    assert world.act(campaign.id, "revert").state is C.REVERTED
    early = world.post(name="other")
    with pytest.raises(Conflict, match="revert does not fit"):
        world.act(early.id, "revert")


def test_nobody_but_operators_and_gates_can_order_it() -> None:
    """Whoever writes tables could otherwise have old versions offered as the service's own wish."""
    world, campaign = completed()
    stored = world.campaigns.get(campaign.id)
    forged = replace(stored.value, state=C.REVERTING, reversion=Reversion(signature='{"keyid": "", "sig": ""}'))
    world.campaigns.save(Stored(value=forged, etag=stored.etag))
    refused = world.run_until(campaign.id, C.ABORTED)
    assert "nothing is reverted" in refused.reason
    assert any(event.type == ALERT for event in world.events.events)
    assert child_id(campaign.id, "1.4.0") not in world.campaigns_known()


@pytest.mark.parametrize("after", [True, False], ids=["after the write", "before the write"])
def test_a_reverting_that_dies_anywhere_ends_the_same(after: bool) -> None:
    for writes in range(0, 60, 3):
        life = Life()
        world = CampaignWorld(fleet(60), life=life)
        world.packages.publish("thermostat", "1.4.0")
        campaign = world.post(waves=TWO_WAVES)
        world.run_until(campaign.id, C.COMPLETED)
        tell_former(world, campaign, "1.4.0")
        world.act(campaign.id, "revert")
        life.left, life.dies_after_the_write = writes, after
        world.run_until(campaign.id, C.REVERTED)
        child = CampaignId(child_id(campaign.id, "1.4.0"))
        assert {row.state for row in world.rollouts.rows(child).values()} == {S.SUCCEEDED}
        assert len(world.rollouts.rows(child)) == 60
        assert world.starts.count((child, 1)) == 1
