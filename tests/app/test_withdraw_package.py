"""Withdrawing a package: out of the index, its campaigns paused, refused from then on, whatever dies between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from shared.domain.campaigns import CampaignState
from shared.domain.errors import Conflict, NotFound
from shared.domain.packages import Package, PackageState, RegisteredPackage
from shared.domain.rollouts import RolloutState
from shared.domain.steps_by_operators import OperatorAction
from shared.handlers.index_requests import resume_publishing
from shared.handlers.pause_campaign import pause_campaigns_of
from shared.handlers.publish_index import WITHDRAWN_EVENT
from shared.handlers.show_campaigns import view_of
from shared.handlers.withdraw_package import withdraw_package
from shared.wire.http_fields import InvalidRequest
from shared.wire.http_packages import read_withdraw_request
from shared.wire.messages import read_index_request
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.data_plane import DataPlane
from tests.support.deaths import Writes, every_death
from tests.support.memory_packages import MemorySender, settled
from tests.support.repository import Repository, new_package, request_for


def _withdraw(
    repository: Repository, package: Package, sender: MemorySender | None = None, *, reason: str = "it bricks pumps"
) -> RegisteredPackage:
    return withdraw_package(
        package.name,
        package.version.text,
        repository.packages,
        sender or MemorySender(),
        reason=reason,
        who="ada",
        now=repository.now,
    )


def _published(*packages: Package) -> Repository:
    repository = Repository()
    repository.publisher().publish(repository.accept(*packages), now=repository.now)
    return repository


def test_withdrawn_package_leaves_the_index_and_the_others_stay(tmp_path: Path) -> None:
    bad, good = new_package(), new_package("router-fw")
    repository, sender = _published(bad, good), MemorySender()
    assert repository.device(tmp_path).finds(bad)

    assert _withdraw(repository, bad, sender).state is PackageState.WITHDRAWING
    (message,) = (message for _, message in sender.sent)
    repository.publisher().publish([read_index_request(message.body)], now=repository.now)

    device = repository.device(tmp_path)
    assert not device.finds(bad)
    assert device.finds(good)
    row = repository.packages.get(bad.name, bad.version.text).value
    assert row.state is PackageState.WITHDRAWN
    assert row.withdrawal is not None
    assert (row.withdrawal.by, row.withdrawal.reason) == ("ada", "it bricks pumps")
    assert repository.paused == [bad.path]
    assert repository.events.published[-1].type == WITHDRAWN_EVENT


def test_withdrawing_twice_changes_nothing_more(tmp_path: Path) -> None:
    package = new_package()
    repository = _published(package)
    first = _withdraw(repository, package)
    repository.publisher().publish([request_for(package)], now=repository.now)
    state = dict(repository.store.files)

    again = _withdraw(repository, package)
    repository.publisher().publish([request_for(package)], now=repository.now)
    assert again.withdrawal == first.withdrawal
    assert again.state is PackageState.WITHDRAWN
    assert dict(repository.store.files) == state


def test_another_reason_does_not_replace_the_first_one() -> None:
    package = new_package()
    repository = _published(package)
    first = _withdraw(repository, package)

    with pytest.raises(Conflict, match=r"was withdrawn by ada at .* already, because: it bricks pumps") as refused:
        _withdraw(repository, package, reason="it is loud")

    assert refused.value.code == "withdrawn_already"
    assert repository.packages.get(package.name, package.version.text).value.withdrawal == first.withdrawal


def test_what_was_withdrawn_without_a_reason_takes_one() -> None:
    package = new_package()
    repository = _published(package)
    first = _withdraw(repository, package, reason="").withdrawal
    assert first is not None

    again = _withdraw(repository, package)

    assert again.withdrawal == replace(first, reason="it bricks pumps")
    assert repository.packages.get(package.name, package.version.text).value == again


@pytest.mark.parametrize("body", [b"", b"{}", b'{"reason": ""}', b'{"reason": "  "}'])
def test_a_withdrawal_needs_a_reason(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="reason"):
        read_withdraw_request(body)


def test_package_withdrawn_before_it_was_published_never_enters_the_index(tmp_path: Path) -> None:
    package = new_package()
    repository = Repository()
    requests = repository.accept(package)
    _withdraw(repository, package)
    repository.publisher().publish(requests, now=repository.now)
    assert not repository.device(tmp_path).finds(package)
    assert repository.packages.get(package.name, "1.0.0").value.state is PackageState.WITHDRAWN


def test_package_withdrawn_while_it_is_being_published_is_taken_out_by_its_own_request(tmp_path: Path) -> None:
    package = new_package()
    repository = Repository()
    requests = repository.accept(package)
    writes = Writes(before=lambda number: _withdraw(repository, package) if number == 0 else None)
    repository.publisher(store=writes.through(repository.store)).publish(requests, now=repository.now)
    assert repository.packages.get(package.name, "1.0.0").value.state is PackageState.WITHDRAWING

    repository.publisher().publish([request_for(package)], now=repository.now)
    assert not repository.device(tmp_path).finds(package)


def test_a_death_at_any_write_leaves_what_the_next_try_finishes(tmp_path: Path) -> None:
    state: dict[str, Repository] = {}
    bad, good = new_package(), new_package("router-fw")

    def run(writes: Writes) -> None:
        state["repository"] = repository = _published(good, bad)
        row = _withdraw(repository, bad)
        assert row.state is PackageState.WITHDRAWING
        publisher = repository.publisher(
            store=writes.through(repository.store),
            packages=writes.through(repository.packages),
            events=writes.through(repository.events),
        )
        publisher.publish([request_for(bad)], now=repository.now)

    for number, _ in enumerate(every_death(run)):
        repository = state["repository"]
        device = repository.device(tmp_path / str(number))
        assert device.finds(good)
        sender = MemorySender()
        resume_publishing(repository.packages, sender, now=repository.now + timedelta(minutes=3))
        requests = [read_index_request(message.body) for _, message in sender.sent]
        repository.publisher().publish(requests, now=repository.now)
        assert repository.packages.get(bad.name, "1.0.0").value.state is PackageState.WITHDRAWN
        assert bad.path in repository.paused
        assert not device.finds(bad)
        assert device.finds(good)


def test_what_never_was_cannot_be_withdrawn() -> None:
    repository = Repository()
    with pytest.raises(NotFound):
        _withdraw(repository, new_package())
    repository.accept(new_package())
    repository.packages.save(settled(repository.packages.get("gateway-fw", "1.0.0"), PackageState.REFUSED))
    with pytest.raises(Conflict):
        _withdraw(repository, new_package())


def _mark_withdrawn(world: CampaignWorld) -> None:
    world.packages.save(settled(world.packages.get("thermostat", "2.0.0"), PackageState.WITHDRAWN))


def test_its_campaigns_pause_and_cannot_go_on() -> None:
    world = CampaignWorld(fleet(20), outcome=lambda _device: None)
    campaign = world.post(waves=[{"count": 2}, {"rest": True}])
    world.run()
    assert world.campaign(campaign.id).state is CampaignState.RUNNING
    _mark_withdrawn(world)

    pause_campaigns_of(campaign.package, "its package was withdrawn: it bricks pumps", world.ports, now=world.now)
    pause_campaigns_of(campaign.package, "its package was withdrawn: it bricks pumps", world.ports, now=world.now)

    paused = world.campaign(campaign.id)
    assert (paused.state, paused.reason) == (CampaignState.PAUSED, "its package was withdrawn: it bricks pumps")
    actions = view_of(paused, world.view_ports).actions
    assert actions == ["skip-wave", "cancel", "force-cancel", "revert"]
    with pytest.raises(Conflict, match="withdrawn"):
        world.act(campaign.id, "retry-failed")
    with pytest.raises(Conflict, match="withdrawn"):
        world.act(campaign.id, OperatorAction.RESUME)
    world.act(campaign.id, OperatorAction.CANCEL)
    with pytest.raises(NotFound, match="withdrawn"):
        world.post(name="again")


@pytest.mark.parametrize("state", [PackageState.WITHDRAWING, PackageState.WITHDRAWN])
def test_nothing_is_offered_of_a_withdrawn_package(state: PackageState) -> None:
    plane = DataPlane(["gw-0", "gw-1"])
    package = plane.campaign.package
    stored = plane.packages.get(package.name, package.version.text)
    plane.packages.save(settled(stored, state))
    plane.dispatch()
    assert not plane.hub.writes
    assert plane.states() == {RolloutState.PLANNED}

    plane.packages.save(replace(plane.packages.get(package.name, package.version.text), value=stored.value))
    plane.dispatch()
    assert plane.states() == {RolloutState.OFFERED}
