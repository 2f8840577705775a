"""What holds where features meet: steps, gates, people, and who writes tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.gates import Counters, Gate, OnStop
from shared.domain.ids import shard_of
from shared.domain.retries import open_attempt
from shared.domain.reversions import Reversion, ReversionPhase
from shared.domain.reverting import child_id
from shared.domain.rollouts import RolloutState
from shared.domain.verdicts import Decision, judge_wave
from shared.domain.walks import BatchPurpose, Walk
from shared.domain.wave_edits import check_editable
from shared.domain.waves import WaveState
from shared.ports.bus import Queue
from shared.ports.rollouts import RolloutChange
from shared.ports.stored import Stored
from tests.app.test_late_failures import second_wave_open
from tests.app.test_quarantine import described
from tests.app.test_reverting import completed, tell_former
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died, Life

S, C, W = RolloutState, CampaignState, WaveState


def test_a_late_failure_during_a_pause_is_asked_about_after_it() -> None:
    world, campaign = second_wave_open()
    world.act(campaign.id, "pause")
    world.regress_one(campaign.id)
    world.run(hours=0.1)
    world.outcome = lambda _device: S.SUCCEEDED
    world.act(campaign.id, "resume")
    for row in world.rollouts.rows(campaign.id).values():
        if row.state is S.OFFERED:
            world.set_state(row, S.SUCCEEDED)
    world.run(hours=1)
    found = world.campaign(campaign.id)
    assert (found.state, found.waves[0].state) == (C.PAUSED, W.FAILED), (found.state, found.reason)


def test_thief_of_the_tables_cannot_have_a_gate_revert_by_an_edit_that_is_undone() -> None:
    """The gate says pause. A walk in the row keeps the signature from being looked at before the gate is asked."""
    world = CampaignWorld(fleet(60))
    world.packages.publish("thermostat", "1.4.0")
    campaign = world.post(waves=[{"count": 10}, {"rest": True}], gate={"success_percent": 50})
    world.run(lambda: len(world.starts) == 2)
    tell_former(world, campaign, "1.4.0")
    world.outcome = lambda _device: None
    world.run(lambda: [row.state for row in world.rollouts.rows(campaign.id).values()].count(S.OFFERED) == 50)
    world.run(hours=0.01)
    # The thief writes rows only.
    stored = world.campaigns.get(campaign.id)
    genuine = stored.value.waves[1]
    gate = replace(genuine.spec.gate, on_stop=OnStop.REVERT, success_percent=0, failure_percent=0)
    edited = stored.value.with_wave(replace(genuine, spec=replace(genuine.spec, gate=gate)))
    edited = replace(edited, walks=(Walk(purpose=BatchPurpose.SKIP, wave=1, last_wave=2),))
    world.campaigns.save(Stored(value=edited, etag=stored.etag))
    row = next(row for row in world.rollouts.rows(campaign.id).values() if row.wave == 2 and row.state is S.OFFERED)
    world.set_state(row, S.FAILED)
    world.run(lambda: world.campaign(campaign.id).state in (C.REVERTING, C.PAUSED), hours=1)
    stored = world.campaigns.get(campaign.id)
    if stored.value.state is C.REVERTING:
        undone = stored.value.with_wave(replace(stored.value.waves[1], spec=genuine.spec))
        world.campaigns.save(Stored(value=undone, etag=stored.etag))
    world.run(hours=3)
    assert child_id(campaign.id, "1.4.0") not in world.campaigns_known()


def test_what_was_acknowledged_and_then_mended_hides_no_later_failures() -> None:
    bad: set[str] = set()
    world = CampaignWorld(fleet(30))
    gate = {"failure_percent": None, "failure_count": 3, "success_percent": 90}
    campaign = world.post(waves=[{"count": 10}, {"rest": True}], gate=gate)
    world.run(lambda: bool(world.starts))
    wave = world.manifests.read_manifest(campaign.id)[:10]
    bad.update(wave[:3])
    silent = set(wave[5:])
    world.outcome = lambda device: S.FAILED if device in bad else None if device in silent else S.SUCCEEDED
    world.run_until(campaign.id, C.PAUSED)
    world.act(campaign.id, "resume")
    bad.clear()
    world.act(campaign.id, "retry-failed")
    world.run(hours=0.05)
    rows = [row for row in world.rollouts.rows(campaign.id).values() if row.wave == 1]
    assert sorted(row.state for row in rows) == [S.OFFERED] * 5 + [S.SUCCEEDED] * 5  # the three were mended
    for row in rows:
        if row.state is S.OFFERED:
            world.set_state(row, S.FAILED if row.device in wave[5:8] else S.SUCCEEDED)
    world.run(lambda: world.campaign(campaign.id).state is C.PAUSED, hours=0.1)
    found = world.campaign(campaign.id)
    assert found.waves[0].state is W.FAILED, [(wave.state, wave.reason) for wave in found.waves]


def test_a_wave_with_one_device_that_waits_for_its_retry_is_not_dispatched_again_and_again() -> None:
    world = CampaignWorld(fleet(300), outcome=lambda _device: None)
    campaign = world.post(
        gate={"success_percent": 50, "silent_percent": None}, retries={"maximum": 3, "backoff_s": 3600}
    )
    world.run(lambda: bool(world.starts) and world.campaign(campaign.id).waves[0].state is W.RUNNING)
    world.run(hours=0.05)
    row = next(iter(world.rollouts.rows(campaign.id).values()))
    shard = shard_of(row.device, world.shards)
    before = world.rollouts.read_devices(campaign.id, shard, [row.device])[row.device]
    failed = replace(before.value, state=S.FAILED)
    again = open_attempt(failed, retry_at=world.now + timedelta(hours=1), now=world.now)
    world.rollouts.write(campaign.id, shard, [RolloutChange(before=before, after=again)])
    # as mark_offers does: it is not ready for an hour; all others have their offers
    sent = len(world.bus.sent_to(Queue.DEVICE_BATCHES))
    world.run(hours=0.9)
    assert len(world.bus.sent_to(Queue.DEVICE_BATCHES)) - sent <= 4, len(world.bus.sent_to(Queue.DEVICE_BATCHES)) - sent


def test_audit_tells_what_was_done_not_what_was_tried_before() -> None:
    life = Life()
    world = CampaignWorld(fleet(60), life=life)
    campaign = world.post(waves=[{"count": 10}, {"count": 10}, {"rest": True}])
    world.run(lambda: bool(world.starts))
    world.act(campaign.id, "pause")
    world.run(hours=0.02)
    life.left, life.dies_after_the_write = 1, False  # the audit entry is written, the campaign is not
    with pytest.raises(Died):
        world.act(campaign.id, "skip-wave", wave=2)
    life.left = None
    world.act(campaign.id, "skip-wave", wave=3)
    assert world.campaign(campaign.id).waves[2].state is W.SKIPPED
    told = [entry.detail for entry in world.audit.read(campaign.id) if entry.what == "skip-wave"]
    assert any("wave 3" in detail for detail in told), told


def _quarantine_world(**options: Any) -> CampaignWorld:

    world = CampaignWorld([f"mk2-{number:03}" for number in range(110)], **options)
    world.describe = described
    return world


def test_a_canary_that_failed_throughout_does_not_pass_because_its_cohort_is_held_back() -> None:
    world = _quarantine_world(outcome=lambda _device: S.FAILED)
    campaign = world.post(
        waves=[{"name": "canary", "count": 10}, {"rest": True}],
        gate={"success_percent": 90, "failure_percent": 50, "minimum_completed": 6},
        quarantine={"minimum": 3, "failure_percent": 50},
    )
    world.run(hours=2)
    found = world.campaign(campaign.id)
    failed = sum(row.state is S.FAILED for row in world.rollouts.rows(campaign.id).values())
    assert (found.state, failed) == (C.PAUSED, 10), (found.state, failed, [(w.state, w.reason) for w in found.waves])


def test_a_canary_taken_over_to_the_last_device_proves_nothing() -> None:

    assert judge_wave(Gate(), Counters(by_state={S.CANCELLED: 10})).decision is not Decision.PASS


def _turn_row(world: CampaignWorld, name: str, version: str, other: tuple[str, str]) -> None:
    """A thief of the storage account writes another package's columns under this key."""
    genuine, planted = world.packages.get(name, version), world.packages.get(*other)
    get = world.packages.get
    turned = Stored(value=replace(planted.value), etag=genuine.etag)
    world.packages.get = lambda n, v: turned if (n, v) == (name, version) else get(n, v)


def test_thief_of_the_tables_cannot_turn_the_package_an_operator_asks_for_into_another_one() -> None:
    world = CampaignWorld(fleet(10))
    world.packages.publish("door-opener", "9.0.0")
    _turn_row(world, "thermostat", "2.0.0", ("door-opener", "9.0.0"))
    try:
        campaign = world.post()
    except Exception:
        return
    assert (campaign.package.name, campaign.package.version.text) == ("thermostat", "2.0.0")


def test_thief_of_the_tables_cannot_turn_the_package_of_a_revert_into_another_one() -> None:
    world, campaign = completed()
    world.packages.publish("door-opener", "0.1.0")
    _turn_row(world, "thermostat", "1.4.0", ("door-opener", "0.1.0"))
    world.act(campaign.id, "revert")
    world.run_until(campaign.id, C.REVERTED, C.ABORTED)
    child = child_id(campaign.id, "1.4.0")
    assert child not in world.campaigns_known() or world.campaign(child).package.name == "thermostat", (
        world.campaign(child).package.path,
        world.campaign(child).spec.allow_downgrade,
        world.campaign(child).state,
    )


def test_a_signed_order_to_revert_serves_once() -> None:
    """A thief of the tables keeps the order of a revert that is over, and plays it again for another version."""

    world, campaign = completed()
    world.packages.publish("thermostat", "1.3.0")
    world.act(campaign.id, "revert")
    kept = world.campaign(campaign.id).reversion
    assert kept is not None
    world.run_until(campaign.id, C.REVERTED)
    world.now += timedelta(days=300)
    world.bus.now = world.now
    world._next_resume = world.now
    stored = world.campaigns.get(campaign.id)
    child = child_id(campaign.id, "1.3.0")
    world.manifests.write_page(child, 0, list(world.rollouts.rows(campaign.id)))
    again = Reversion(
        phase=ReversionPhase.STARTING, pages={"1.3.0": 1}, devices={"1.3.0": 60}, signature=kept.signature
    )
    world.campaigns._on_save = lambda *_: None  # the world's own check of transitions, not the service's
    world.campaigns.save(Stored(value=replace(stored.value, state=C.REVERTING, reversion=again), etag=stored.etag))
    world.run(hours=3)
    assert child not in world.campaigns_known()


def test_no_wave_starts_and_no_campaign_completes_behind_a_passed_wave_whose_gate_would_stop() -> None:
    """The evaluation that the fold asks for is lost: its process died behind the write of the rows."""
    world, campaign = second_wave_open()
    world.outcome = lambda _device: S.SUCCEEDED
    world.regress_one(campaign.id)
    lost = next(
        entry
        for entry in world.bus.waiting
        if b'"wave":1' in entry.message.body and entry.queue is Queue.CAMPAIGN_STEPS
    )
    world.bus.waiting.remove(lost)
    for row in world.rollouts.rows(campaign.id).values():
        if row.state is S.OFFERED:
            world.set_state(row, S.SUCCEEDED)
    world.run(hours=2)
    assert world.campaign(campaign.id).state is C.PAUSED, world.campaign(campaign.id).reason


def test_waves_can_be_edited_while_a_retry_waits_for_the_resume() -> None:
    world = CampaignWorld(fleet(30), outcome=lambda _device: S.FAILED)
    campaign = world.post(waves=[{"count": 5}, {"rest": True}])
    world.run_until(campaign.id, C.PAUSED)
    world.act(campaign.id, "retry-failed")
    world.run(hours=1)
    check_editable(world.campaign(campaign.id))
