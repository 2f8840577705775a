"""Waves in which nobody tried the package, because devices are missing and the others were skipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.cohorts import Tally
from shared.domain.ids import DeviceId
from shared.domain.rollouts import DEVICE_NOT_FOUND, Rollout, RolloutState
from shared.domain.skips import SkipCounts, SkipReason, count_skips
from shared.domain.waves import WaveState
from shared.handlers.show_campaigns import show_campaign
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.mortal import Died, Life, check_every_death

C, S = CampaignState, RolloutState
FLEET = fleet(12)
TWO_WAVES: dict[str, Any] = {"key": "once", "waves": [{"count": 4}, {"rest": True}]}


def world_of(codes: Mapping[int, str], **options: Any) -> CampaignWorld:
    """Devices are skipped when they are offered the package, for what their place in the first wave says."""
    world = CampaignWorld(FLEET, **options)

    def place(device: DeviceId) -> int | None:
        (campaign,) = world.campaigns_known()
        ordered = world.manifests.read_manifest(campaign)
        return ordered.index(device) if ordered.index(device) in codes else None

    def describe(row: Rollout) -> Rollout:
        return replace(row, code=codes[at]) if (at := place(row.device)) is not None else row

    world.outcome = lambda device: S.SKIPPED if place(device) is not None else S.SUCCEEDED
    world.describe = describe
    return world


def ended(world: CampaignWorld) -> Campaign:
    try:
        campaign = world.post(**TWO_WAVES)
    except Died:
        campaign = world.post(**TWO_WAVES)
    world.run_until(campaign.id, C.PAUSED, C.COMPLETED)
    world.run()
    found = world.campaign(campaign.id)
    world.check_counters(found.id)
    world.check_audit(found.id)
    for wave in found.waves:
        rows = [row for row in world.rollouts.rows(found.id).values() if row.wave == wave.number]
        tally = world.rollouts.read_tally(found.id, wave.number, world.shards)
        assert tally.skips == count_skips(rows)
    return found


LOST = {0: DEVICE_NOT_FOUND, 1: DEVICE_NOT_FOUND}


def test_a_wave_of_missing_and_of_held_devices_stops_with_the_numbers_kept_and_shown() -> None:
    world = world_of(LOST | {2: "held_by:other", 3: "device_deleted"})
    stopped = ended(world)
    assert (stopped.state, stopped.waves[0].state) == (C.PAUSED, WaveState.FAILED)
    assert (
        "nobody tried the package: of 4 devices, 2 not known to IoT Hub (device_not_found), 1 deleted in IoT Hub, "
        "1 held by other campaigns"
    ) in stopped.reason
    wave = show_campaign(stopped.id, world.view_ports).waves[0]
    numbers = {"device_not_found": 2, "device_deleted": 1, "held_by": 1}
    assert wave.judged is not None
    assert (wave.counters, wave.skipped, wave.judged.skipped) == ({"skipped": 4}, numbers, numbers)
    assert all(row.state is S.PLANNED for row in world.rollouts.rows(stopped.id).values() if row.wave == 2)


def test_it_goes_on_once_somebody_skips_the_wave() -> None:
    world = world_of(LOST | {2: "held_by:other", 3: "no_package"})
    stopped = ended(world)
    world.act(stopped.id, "skip-wave", wave=1)
    world.act(stopped.id, "resume")
    done = world.run_until(stopped.id, C.COMPLETED)
    assert done.waves[1].state is WaveState.PASSED
    world.check_audit(done.id)


def test_one_device_that_runs_the_version_already_is_word_enough() -> None:
    done = ended(world_of(LOST | {2: "held_by:other", 3: "current"}))
    assert [wave.state for wave in done.waves] == [WaveState.PASSED, WaveState.PASSED]


def test_missing_devices_beside_one_that_succeeded_stop_nothing_and_the_final_reason_counts_them() -> None:
    done = ended(world_of(LOST | {2: "device_deleted", 7: DEVICE_NOT_FOUND}))
    assert done.state is C.COMPLETED
    assert done.reason == (
        "all 2 waves passed; IoT Hub does not know 3 of 12 devices; "
        "1 of 12 devices were deleted in IoT Hub before they had ended"
    )


def test_nobody_is_missing_from_a_reason_where_all_were_found() -> None:
    assert ended(world_of({0: "current"})).reason == "all 2 waves passed"


@pytest.mark.parametrize("codes", [LOST | {2: "held_by:other", 3: "held_by:other"}, LOST | {2: "current"}])
def test_a_death_at_any_write_ends_in_the_same_verdict(codes: Mapping[int, str]) -> None:
    def run(life: Life) -> tuple[Any, ...]:
        found = ended(world_of(codes, life=life))
        return found.state, found.reason, [(wave.state, wave.reason, wave.verdict) for wave in found.waves]

    check_every_death(run)


class OlderRollouts:
    """A ``RolloutStore`` whose counters rows an older version wrote; counts the batches that are read."""

    def __init__(self, rollouts: Any) -> None:
        self.batches_read = 0
        self._rollouts = rollouts

    def __getattr__(self, name: str) -> Any:
        self.batches_read += name == "read_batch"
        return getattr(self._rollouts, name)

    def read_tally(self, *args: Any) -> Tally:
        tally: Tally = self._rollouts.read_tally(*args)
        return replace(tally, skips=SkipCounts())


@pytest.mark.parametrize(
    ("last", "state"), [(DEVICE_NOT_FOUND, C.PAUSED), ("held_by:other", C.PAUSED), ("current", C.COMPLETED)]
)
def test_reasons_that_an_older_version_did_not_count_are_looked_up_in_the_rows(last: str, state: CampaignState) -> None:
    world = world_of(LOST | {2: DEVICE_NOT_FOUND, 3: last})
    older: Any = OlderRollouts(world.rollouts)
    world.ports = replace(world.ports, rollouts=older)
    campaign = world.post(**TWO_WAVES)
    world.run_until(campaign.id, C.PAUSED, C.COMPLETED)
    found = world.campaign(campaign.id)
    assert found.state is state
    assert older.batches_read
    verdict = found.waves[0].verdict
    assert verdict is not None
    assert verdict.skips is not None
    assert verdict.skips.total == 4
    world.check_audit(found.id)


def test_a_wave_that_was_let_pass_on_nobodys_word_is_not_stopped_later_for_who_is_missing() -> None:
    """Its gate asked for nothing, and let it pass before anybody knew."""
    world = CampaignWorld(FLEET, outcome=lambda _device: None)
    campaign = world.post(waves=[{"count": 2}, {"rest": True}], gate={"success_percent": 0})
    world.run(lambda: len(world.starts) == 2)
    for row in [row for row in world.rollouts.rows(campaign.id).values() if row.wave == 1]:
        world.set_state(row, S.SKIPPED)
    for key, tally in world.rollouts.tallies.items():
        lost = SkipCounts(by_reason={SkipReason.NOT_FOUND: tally.skips.total} if tally.skips.total else {})
        world.rollouts.tallies[key] = replace(tally, skips=lost)
    world.run(hours=1)
    found = world.campaign(campaign.id)
    assert world.rollouts.read_tally(found.id, 1, world.shards).skips.of(SkipReason.NOT_FOUND) == 2
    assert found.waves[0].state is WaveState.PASSED
