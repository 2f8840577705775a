"""Finished campaigns leave the table: whatever dies or comes between, every row is in the archive before it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import Conflict
from shared.domain.ids import DeviceId, shard_of
from shared.domain.retention import ArchivePhase
from shared.domain.rollouts import RolloutState
from shared.handlers.archive_campaigns import ArchivePorts, archive_campaigns
from shared.ports.rollouts import RolloutChange
from shared.wire.archive_parts import read_lines
from shared.wire.keys import device_of, row_key
from shared.wire.rollout_rows import write_rollout
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.memory_archive import MemoryArchive, MemoryRolloutRows
from tests.support.mortal import Died, Life, Mortal

C, S, P = CampaignState, RolloutState, ArchivePhase
KEEP = timedelta(days=30)
SHARDS = 2


class Scene:
    """A campaign that has ended, and the time after it."""

    def __init__(
        self, outcome: Callable[[DeviceId], RolloutState | None] = lambda _device: S.SUCCEEDED, **asked: Any
    ) -> None:
        self.world = CampaignWorld(fleet(40), outcome=outcome, shards=SHARDS)
        gate = {"success_percent": 0, "failure_percent": None, "silent_percent": None}
        self.id = self.world.post(waves=[{"count": 5}, {"rest": True}], gate=gate, **asked).id
        self.world.run_until(self.id, C.COMPLETED)
        self.world.run(hours=24)
        self.archive = MemoryArchive()
        self.rows = MemoryRolloutRows(self.world.rollouts)
        self.now = self.campaign.changed_at + KEEP
        self.before = self.world.rollouts.rows(self.id)

    @property
    def campaign(self) -> Campaign:
        return self.world.campaign(self.id)

    def clock(self) -> datetime:
        return self.now

    def ports(self, life: Life | None = None, **changes: Any) -> ArchivePorts:
        life = life or Life()
        made = ArchivePorts(
            campaigns=Mortal(self.world.campaigns, life),
            rollouts=self.world.rollouts,
            rows=MemoryRolloutRows(self.world.rollouts, life, per_transaction=3),
            archive=Mortal(self.archive, life),
            publisher=self.world.events,
            clock=self.clock,
            keep=KEEP,
            part_rows=7,
        )
        return replace(made, **changes)

    def run(self, life: Life | None = None, **changes: Any) -> None:
        archive_campaigns(self.ports(life, **changes))

    @property
    def phase(self) -> ArchivePhase | None:
        return self.campaign.archive.phase if self.campaign.archive else None

    def archived(self) -> dict[DeviceId, dict[str, Any]]:
        """The newest archived row of each device."""
        found: dict[DeviceId, dict[str, Any]] = {}
        for name in sorted(self.archive.blobs):
            for key, _, row in read_lines(self.archive.blobs[name]):
                assert key == row_key(DeviceId(row["device"]))
                if row["changed_at"] >= found.get(device_of(key), row)["changed_at"]:
                    found[device_of(key)] = dict(row)
        return found

    def change(self, device: DeviceId, state: RolloutState) -> None:
        """A late report reaches a row."""
        shard = shard_of(device, SHARDS)
        row = self.world.rollouts.read_devices(self.id, shard, [device])[device]
        after = replace(row.value, state=state, changed_at=self.now)
        self.world.rollouts.write(self.id, shard, [RolloutChange(before=row, after=after)])

    def check_archived(self) -> None:
        """All rows are in the archive as they last were, none is left in the table, the counters stand."""
        assert self.phase is P.DONE
        assert self.world.rollouts.rows(self.id) == {}
        archived = self.archived()
        assert archived.keys() == self.before.keys()
        for device, rollout in self.before.items():
            assert {name: archived[device][name] for name in ("state", "code", "wave", "sequence")} == {
                name: write_rollout(rollout, 0)[name] for name in ("state", "code", "wave", "sequence")
            }
        counted = [self.world.rollouts.read_counters(self.id, wave, SHARDS).total for wave in (1, 2)]
        assert counted == [5, 35]


def test_a_campaign_that_ended_long_ago_goes_into_blobs() -> None:
    scene = Scene(lambda device: S.FAILED if device in ("dev-3", "a#1") else S.SUCCEEDED)
    scene.run()
    scene.check_archived()
    found = scene.campaign.archive
    assert found is not None
    assert (found.rows, found.late, found.ended_at) == (40, 0, scene.now)
    blobs = dict(scene.archive.blobs)
    scene.run()
    assert scene.archive.blobs == blobs


@pytest.mark.parametrize("part_rows", [1, 20, 39, 40, 41, 5_000])
def test_parts_of_any_size_hold_all_rows(part_rows: int) -> None:
    scene = Scene()
    scene.run(part_rows=part_rows)
    scene.check_archived()


@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_a_death_at_any_write_loses_no_row(dies_after_the_write: bool) -> None:
    whole = Life()
    Scene().run(whole)
    assert whole.writes > 25
    for left in range(whole.writes):
        scene = Scene()
        with pytest.raises(Died):
            scene.run(Life(left=left, dies_after_the_write=dies_after_the_write))
        missing = scene.before.keys() - scene.world.rollouts.rows(scene.id).keys() - scene.archived().keys()
        assert missing == set(), f"died at write {left}"
        scene.run()
        scene.check_archived()


def test_no_row_is_deleted_before_all_are_exported() -> None:
    whole = Life()
    Scene().run(whole)
    for left in range(whole.writes):
        scene = Scene()
        with pytest.raises(Died):
            scene.run(Life(left=left))
        if len(scene.world.rollouts.rows(scene.id)) < 40:
            assert scene.archived().keys() == scene.before.keys()


@pytest.mark.parametrize("left", range(0, 30, 3))
def test_a_report_that_comes_late_is_archived_too(left: int) -> None:
    """After any write: rows that are gone ignore it, all others go as they then are."""
    scene = Scene()
    with pytest.raises(Died):
        scene.run(Life(left=left))
    still_there = scene.world.rollouts.rows(scene.id)
    for device in list(still_there)[::4]:
        scene.change(device, S.REGRESSED)
    scene.before |= scene.world.rollouts.rows(scene.id)
    scene.now += timedelta(days=1)
    scene.run()
    scene.check_archived()


def test_a_row_that_changes_under_the_hands_stays_for_the_next_run() -> None:
    scene = Scene()
    victim = next(iter(scene.before))

    class Meddled(MemoryRolloutRows):
        def delete(self, *arguments: Any) -> None:
            if any(device_of(row.key) == victim for row in arguments[2]) and scene.before[victim].state is S.SUCCEEDED:
                scene.change(victim, S.REGRESSED)
                scene.before[victim] = scene.world.rollouts.rows(scene.id)[victim]
            super().delete(*arguments)

    scene.run(rows=Meddled(scene.world.rollouts))
    assert scene.phase is P.DELETING
    assert scene.world.rollouts.rows(scene.id)[victim].state is S.REGRESSED
    scene.run()
    scene.check_archived()


@pytest.mark.parametrize("left", range(1, 30, 2))
def test_one_who_wakes_up_late_destroys_nothing(left: int) -> None:
    """It read the campaign's row when exporting had begun; another has gone on meanwhile, perhaps to the end."""
    scene = Scene()
    with pytest.raises(Died):
        scene.run(Life(left=left))
    sleeper = scene.world.campaigns.get(scene.id)
    scene.run()

    class Sleeping:
        def get(self, _campaign: object) -> object:
            return sleeper

        def __getattr__(self, name: str) -> Any:
            return getattr(scene.world.campaigns, name)

    page = Sleeping()
    page.list_page = lambda **_: type(scene.world.campaigns.list_page(size=9))(items=(sleeper.value,))  # type: ignore[attr-defined]
    blobs = dict(scene.archive.blobs)
    scene.run(campaigns=page)
    assert scene.archive.blobs == blobs
    scene.check_archived()


def test_rows_that_nobody_counted_halt_it_and_wake_people() -> None:
    scene = Scene()
    rows = scene.rows.shard(scene.id, 0)
    planted = DeviceId("planted")
    row = next(iter(rows.values()))
    rows[planted] = replace(row, value=replace(row.value, device=planted))
    for _ in range(2):
        scene.run()
        assert scene.phase is P.HALTED
        assert len(scene.world.rollouts.rows(scene.id)) == 41
    alerts = [event for event in scene.world.events.events if event.type.endswith("alert")]
    assert len(alerts) == 1
    assert b"archive_halted" in alerts[0].data


def test_what_is_not_due_stays() -> None:
    scene = Scene()
    scene.now -= timedelta(seconds=1)
    scene.run()
    assert scene.campaign.archive is None
    scene.now += timedelta(days=400)
    scene.run(keep=None)
    assert scene.campaign.archive is None
    waiting = Scene(lambda device: None if device == "dev-3" else S.SUCCEEDED)
    waiting.run()
    assert waiting.campaign.archive is None
    waiting.change(DeviceId("dev-3"), S.TIMED_OUT)
    waiting.before = waiting.world.rollouts.rows(waiting.id)
    waiting.run()
    waiting.check_archived()


def test_a_campaign_may_ask_for_less_than_the_service_keeps() -> None:
    scene = Scene(retention_days=7)
    scene.now = scene.campaign.changed_at + timedelta(days=7, seconds=-1)
    scene.run(keep=None)
    assert scene.campaign.archive is None
    scene.now += timedelta(seconds=1)
    scene.run(keep=None)
    scene.check_archived()


@pytest.mark.parametrize(("asked", "stays"), [(0, timedelta(days=4_000)), (90, timedelta(days=89))])
def test_a_campaign_may_ask_for_more_than_the_service_keeps(asked: int, stays: timedelta) -> None:
    scene = Scene(retention_days=asked)
    scene.now = scene.campaign.changed_at + stays
    scene.run(keep=timedelta(days=1))
    assert scene.campaign.archive is None
    assert scene.world.rollouts.rows(scene.id) == scene.before


def test_a_run_ends_in_time_and_the_next_goes_on() -> None:
    scene, runs = Scene(), 0

    def hurried() -> datetime:
        scene.now += timedelta(minutes=1)
        return scene.now

    while scene.phase is not P.DONE:
        scene.run(clock=hurried)
        runs += 1
        assert runs < 50
    assert runs > 2
    assert scene.archived().keys() == scene.before.keys()


def test_a_campaign_that_is_being_archived_is_not_reopened_by_a_late_failure() -> None:
    scene = Scene()
    with pytest.raises(Died):
        scene.run(Life(left=4))
    assert scene.phase is P.EXPORTING
    row = next(row for row in scene.world.rollouts.rows(scene.id).values() if row.wave == 1)
    scene.world.set_state(row, S.REGRESSED)
    scene.world.run(hours=24)
    assert scene.campaign.state is C.COMPLETED
    scene.before = scene.world.rollouts.rows(scene.id)
    scene.now += timedelta(days=1)
    scene.run()
    scene.check_archived()


def test_actions_on_an_archived_campaign_are_refused() -> None:
    scene = Scene(lambda device: S.FAILED if device == "dev-3" else S.SUCCEEDED)
    scene.run()
    with pytest.raises(Conflict, match="archived"):
        scene.world.act(scene.id, "retry-failed")
