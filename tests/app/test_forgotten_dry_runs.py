"""Dry runs are forgotten some days after their last step, with all they left behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.errors import NotFound
from shared.domain.ids import CampaignId, DeviceId, OperationId
from shared.domain.operations import KEEP, OperationState
from shared.handlers.dry_run import get_stored_operation
from shared.ports.errors import ConcurrentChange
from tests.support.campaign_world import fleet
from tests.support.dry_run_world import DryRunWorld
from tests.support.mortal import Died, Life

WAVES = [{"count": 3}, {"rest": True}]


def planned(life: Life | None = None, key: str = "once") -> tuple[DryRunWorld, OperationId]:
    """A dry run that is done, and that nobody has looked at for as long as it is kept."""
    world = DryRunWorld(fleet(130), page_size=40, life=life)
    operation = world.run(world.start(key=key, waves=WAVES).id)
    assert operation.state is OperationState.SUCCEEDED
    world.campaigns.now = operation.changed_at + KEEP
    return world, operation.id


def drafts(world: DryRunWorld) -> list[str]:
    return [blob.name for blob in world.campaigns.manifests.list_drafts()]


def is_known(world: DryRunWorld, operation: OperationId) -> bool:
    try:
        get_stored_operation(world.operations, operation)
    except NotFound:
        return False
    return True


def test_a_dry_run_is_kept_for_days_and_then_it_is_gone_with_its_blobs() -> None:
    world, operation = planned()
    campaign = CampaignId("c0")
    world.campaigns.manifests.write_manifest(campaign, [DeviceId("a")])
    world.campaigns.now -= timedelta(seconds=1)
    assert world.forget() == 0
    assert is_known(world, operation)
    assert len(drafts(world)) >= 5
    world.campaigns.now += timedelta(seconds=1)
    assert world.forget() == 1
    with pytest.raises(NotFound, match="forgotten 7 days after") as refusal:
        get_stored_operation(world.operations, operation)
    assert refusal.value.code == "operation_not_found"
    assert drafts(world) == []
    assert world.campaigns.manifests.read_manifest(campaign) == ["a"]
    assert world.forget() == 0


def test_one_that_goes_on_stays_and_one_that_does_not_get_on_is_forgotten_too() -> None:
    world = DryRunWorld(fleet(2_300))
    operation = world.start(waves=WAVES)
    world.campaigns.now += KEEP - timedelta(seconds=1)
    assert world.forget() == 0
    assert world.run(operation.id, until=lambda: world.found(operation.id).step > operation.step).step > operation.step
    world.campaigns.now += timedelta(seconds=1)
    assert world.forget() == 0
    assert not world.run(operation.id, until=lambda: True).is_done
    world.campaigns.now += KEEP
    assert world.forget() == 1
    assert not list(world.operations.list_unfinished())


@pytest.mark.parametrize("dies_after_the_write", [True, False])
def test_a_death_at_any_deletion_is_made_up_for_by_the_next_run(dies_after_the_write: bool) -> None:
    """I4: until the row is gone the operation can be shown, whatever of its blobs is."""
    world, _ = planned()
    before = world.campaigns.life.writes
    world.forget()
    deletions = world.campaigns.life.writes - before
    assert deletions >= 6
    for left in range(deletions):
        world, operation = planned()
        world.campaigns.life.left, world.campaigns.life.dies_after_the_write = left, dies_after_the_write
        with pytest.raises(Died):
            world.forget()
        assert is_known(world, operation) or drafts(world) == []
        world.forget()
        assert (is_known(world, operation), drafts(world)) == (False, [])


def test_blobs_of_a_dry_run_that_died_before_it_had_a_row_go_when_they_are_old() -> None:
    life = Life(left=1)
    world = DryRunWorld(fleet(130), life=life)
    with pytest.raises(Died):
        world.start(waves=WAVES, targets={"query": "SELECT * FROM devices", "exclude": {"devices": ["dev-1"]}})
    assert drafts(world)
    world.forget()
    assert drafts(world)
    world.campaigns.now += KEEP
    assert world.forget() == 1
    assert drafts(world) == []


@pytest.mark.parametrize("asked_at", range(12))
def test_who_asks_for_the_same_dry_run_again_meanwhile_gets_it_whole(asked_at: int) -> None:
    """Two runs forget it; between any two deletions of the slower one, the other ends and the dry run is made anew."""
    world, operation = planned()

    def made_anew() -> None:
        world.forget()
        assert world.start(key="once", waves=WAVES).id == operation

    slow = Interrupted(world, after=asked_at, deed=made_anew)
    world.forget(operations=slow, drafts=slow)
    world.forget()
    if slow.was_interrupted:
        again = world.run(operation)
        assert (again.state, again.draft.targets) == (OperationState.SUCCEEDED, 130)
    else:
        assert not is_known(world, operation)


class Interrupted:
    """Stores before whose deletion of one number something else happens."""

    def __init__(self, world: DryRunWorld, *, after: int, deed: Callable[[], None]) -> None:
        self._ports: Any = (world.operations, world.campaigns.manifests)
        self._left = after
        self._deed = deed
        self.was_interrupted = False

    def __getattr__(self, name: str) -> Any:
        target = next(getattr(port, name) for port in self._ports if hasattr(port, name))
        if not name.startswith("delete"):
            return target

        def delete(what: Any) -> None:
            self._left -= 1
            if self._left == -1:
                self.was_interrupted = True
                self._deed()
            target(what)

        return delete


def test_a_row_that_somebody_writes_meanwhile_stays() -> None:
    world, operation = planned()

    class Busy:
        def delete(self, *_: object) -> None:
            raise ConcurrentChange("somebody else")

        def __getattr__(self, name: str) -> Any:
            return getattr(world.operations, name)

    assert world.forget(operations=Busy()) == 0
    assert is_known(world, operation)


def test_a_run_ends_in_time_and_the_next_goes_on() -> None:
    world, first = planned()
    second = world.run(world.start(key="twice", waves=WAVES).id)
    world.campaigns.now = second.changed_at + KEEP

    def hurried() -> datetime:
        world.campaigns.now += timedelta(minutes=5)
        return world.campaigns.now

    assert world.forget(clock=hurried) == 1
    assert [is_known(world, operation) for operation in (first, second.id)].count(True) == 1
    assert world.forget(clock=hurried) == 1
    assert drafts(world) == []
