"""A whole campaign with its rows in real tables and its manifests in real blobs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from shared.adapters.azure_audit import AzureAuditRecords
from shared.adapters.azure_budget import AzureBudget
from shared.adapters.azure_campaigns import AzureCampaigns
from shared.adapters.azure_devices import AzureDevices
from shared.adapters.azure_manifests import AzureManifests
from shared.adapters.azure_rollouts import AzureRollouts
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.rollouts import RolloutState
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.tables import new_table

C, S = CampaignState, RolloutState


@pytest.fixture
def stores(storage_connection: str) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        names = ("campaigns", "audit", "budget", "rollout", "devices")
        tables = {name: stack.enter_context(new_table(storage_connection, name)) for name in names}
        blobs = stack.enter_context(BlobServiceClient.from_connection_string(storage_connection))
        yield {
            "campaigns": AzureCampaigns(tables["campaigns"]),
            "audit_records": AzureAuditRecords(tables["audit"]),
            "budget": AzureBudget(tables["budget"], hub="hub", ceiling_per_s=500.0),
            "rollouts": AzureRollouts(tables["rollout"]),
            "device_rows": AzureDevices(tables["devices"]),
            "manifests": AzureManifests(blobs.create_container(f"manifests-{secrets.token_hex(4)}")),
        }


def in_states(world: CampaignWorld, campaign: Campaign) -> dict[RolloutState, int]:
    found = world.campaign(campaign.id)
    counters = [world.rollouts.read_counters(campaign.id, wave.number, world.shards) for wave in found.waves]
    return {state: total for state in S if (total := sum(one.of(state) for one in counters))}


def test_two_campaigns_over_the_same_devices_end_as_they_do_in_memory(stores: dict[str, Any]) -> None:
    """I3: with every character IoT Hub allows in ids, two shards and three waves."""
    world = CampaignWorld(fleet(230), stores=stores, outcome=lambda device: None if device == "a#1" else S.SUCCEEDED)
    waves = [{"count": 1}, {"percent": 10}, {"rest": True}]
    first = world.post(waves=waves, gate={"success_percent": 99}, key="first")
    done = world.run_until(first.id, C.COMPLETED)
    assert [wave.devices for wave in done.waves] == [1, 23, 206]
    assert in_states(world, first) == {S.OFFERED: 1, S.SUCCEEDED: 229}
    second = world.post(name="second")
    assert world.run_until(second.id, C.COMPLETED).planning.skipped == 1
    assert in_states(world, second) == {S.SKIPPED: 1, S.SUCCEEDED: 229}
    assert [entry.what for entry in world.audit.read(first.id)] == ["create", "pass", "pass", "pass", "complete"]
