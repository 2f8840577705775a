"""The online keys lie in a vault: what is signed is signed there, and a vault that refuses costs time only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.test_trust import index_names
from tests.support.scenario_scene import Scene


@pytest.fixture(autouse=True)
def _sound_vault_afterwards(scene: Scene) -> Iterator[None]:
    yield
    scene.stack.cloud.control.clear_vault_faults()


def signatures(scene: Scene) -> dict[str, int]:
    """How often the vault has signed, by role."""
    counts: dict[str, int] = scene.stack.cloud.control.status()["vault"]["signatures"]
    return counts


def test_all_that_is_signed_online_is_signed_in_the_vault(scene: Scene) -> None:
    before = signatures(scene)
    devices = scene.devices(2)
    scene.artifacts.publish()
    with scene.fleet(devices):
        scene.wait_for_campaign(scene.start(devices), "completed")
    after = signatures(scene)

    signed = {role for role in after if after[role] > before.get(role, 0)}

    assert signed == {"bins", "snapshot", "timestamp", "intents", "specs"}


def parked(scene: Scene) -> set[str]:
    """The messages that were set aside."""
    return {blob.name for blob in scene.blobs.get_container_client("parked").list_blobs()}


@pytest.mark.parametrize("status", [403, 429, 503])
def test_vault_that_refuses_for_a_while(scene: Scene, tmp_path: Path, status: int) -> None:
    """Refused between two signatures of one publish: the index stays what it was, and then has the package."""
    devices, before = scene.devices(2), parked(scene)
    scene.stack.cloud.control.set_vault_fault(status, operation="sign", count=3)
    scene.artifacts.publish()
    assert index_names(scene, tmp_path / "client", f"{scene.name}/2.0.0/{scene.name}-2.0.0.img")

    scene.stack.cloud.control.set_vault_fault(status, operation="sign")
    refused = scene.post("campaigns", scene.request(devices))
    assert refused.status_code == 503, refused.text
    assert "Retry-After" in refused.headers
    with scene.fleet(devices):
        campaign = scene.start(devices)
        scene.stack.cloud.control.set_vault_fault(status, operation="sign", count=2)
        scene.wait_for_campaign(campaign, "completed")

    assert set(scene.tables.states(campaign).values()) == {"succeeded"}
    assert parked(scene) == before
