"""What the table knows of a device's hardware, which its next package is chosen by, is what the device said last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.planning import PlanningPhase
from shared.domain.rollouts import RolloutState
from shared.handlers.campaign_facts import CampaignFactsCache
from shared.handlers.visit_batch import VisitPorts, visit_batch
from shared.ports.rollouts import RolloutChange
from shared.wire.messages import BatchVisit
from tests.app.test_variants_planned import BOTH, world_of
from tests.support.campaign_world import CampaignWorld
from tests.support.rollouts import mark

S = RolloutState
DEVICE = DeviceId("a-1")


def settle(world: CampaignWorld, campaign: CampaignId) -> None:
    """Visit all batches, as each is again and again while a row of it is open."""
    facts = CampaignFactsCache(world.campaigns, clock=lambda: 0.0)
    ports = VisitPorts(facts=facts, rollouts=world.rollouts, devices=world.device_rows, sender=world.bus)
    for batch in world.manifests.read_batches(campaign, 1):
        visit_batch(BatchVisit(campaign=campaign, batch=batch), ports, now=world.now)


def end_on_another_board(world: CampaignWorld, campaign: CampaignId, hardware: str) -> None:
    """The device ends the campaign, and says that it is something else."""
    for shard in range(world.shards):
        for row in world.rollouts.read_devices(campaign, shard, [DEVICE]).values():
            after = replace(row.value, state=S.REJECTED, hardware=hardware, mark=mark(1))
            world.rollouts.write(campaign, shard, [RolloutChange(before=row, after=after)])
    settle(world, campaign)


def hardware_of(world: CampaignWorld) -> str:
    return world.device_rows.read_batch([DEVICE])[DEVICE].value.hardware


@pytest.mark.parametrize("later", ["skipped", "claimed"])
def test_a_row_with_what_was_known_before_does_not_take_back_what_a_device_said_since(later: str) -> None:
    world = world_of({DEVICE: "gw-1", "a-2": "gw-2"}, outcome=lambda _device: None)
    first = world.post(**BOTH, key="first")
    world.run_until(first.id, CampaignState.RUNNING)
    if later == "claimed":
        end_on_another_board(world, first.id, "gw-2")
    second = world.post(**BOTH, key="second")
    world.run(lambda: world.campaign(second.id).planning.phase is PlanningPhase.DONE)
    expected = world.rollouts.rows(second.id)[DEVICE].state
    assert expected is (S.SKIPPED if later == "skipped" else S.PLANNED)
    end_on_another_board(world, second.id if later == "claimed" else first.id, "gw-3")
    assert hardware_of(world) == "gw-3"
    for campaign in (first.id, second.id):
        settle(world, campaign)
        assert hardware_of(world) == "gw-3"
