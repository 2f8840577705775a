"""Publishing into the index: every state on the way is one that the real TUF client accepts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tuf.ngclient import UpdaterConfig

from shared.domain.packages import Package, PackageState
from shared.handlers.index_writing import MAX_BYTES, MAX_TARGETS_BYTES, IndexTooLarge
from shared.handlers.publish_index import PUBLISHED_EVENT
from shared.ports.errors import ConcurrentChange, KeyUnusable, Unavailable
from shared.trust.authorities import INTENT_KEYS_PATH
from shared.trust.index import IndexUntrusted
from shared.trust.signers import KeyRole
from shared.wire.messages import IndexRequest
from shared.wire.targets import read_target
from tests.support.deaths import Writes, every_death
from tests.support.memory_bus import MemoryEvents as BusEvents
from tests.support.memory_keys import MemoryKeyRing
from tests.support.repository import Repository, new_owners, new_package, request_for


def _assert_published(repository: Repository, name: str, version: str) -> None:
    row = repository.packages.get(name, version).value
    assert row.state is PackageState.PUBLISHED
    assert row.published_at is not None


def test_founded_index_is_one_that_devices_believe(tmp_path: Path) -> None:
    repository = Repository(owners=new_owners(root_keys=3), root_threshold=2)
    assert repository.device(tmp_path).refresh().get_targetinfo("nothing/1.0/here.img") is None


def test_device_learns_the_intent_keys_from_the_owners_signature(tmp_path: Path) -> None:
    repository = Repository()
    target = repository.device(tmp_path).refresh().get_targetinfo(INTENT_KEYS_PATH)
    assert target is not None
    assert target.length == 0
    assert target.custom is not None
    assert list(target.custom["keys"]) == [key.keyid for key in repository.owners.authorities.intent_keys]


def test_published_package_is_found_as_it_was_accepted(tmp_path: Path) -> None:
    repository, package = Repository(), new_package()
    repository.publisher().publish(repository.accept(package), now=repository.now)
    target = repository.device(tmp_path).refresh().get_targetinfo(package.path)
    assert target is not None
    assert read_target(target.custom, length_bytes=target.length, sha256=target.hashes["sha256"]) == package
    _assert_published(repository, "gateway-fw", "1.0.0")


def test_publication_is_told_to_everybody() -> None:
    repository, package = Repository(), new_package()
    repository.publisher().publish(repository.accept(package), now=repository.now)
    (event,) = repository.events.published
    assert event.type == PUBLISHED_EVENT
    assert json.loads(event.data)["path"] == package.path


def test_topic_that_is_down_does_not_keep_a_package_from_the_fleet(tmp_path: Path) -> None:
    repository, package = Repository(), new_package()
    events = BusEvents()
    events.is_down = True
    repository.publisher(events=events).publish(repository.accept(package), now=repository.now)
    assert repository.device(tmp_path).finds(package)
    _assert_published(repository, "gateway-fw", "1.0.0")


def test_batch_writes_each_touched_bin_once_and_one_snapshot_and_timestamp(tmp_path: Path) -> None:
    repository = Repository(bins=2)
    packages = [new_package(version=f"1.0.{patch}") for patch in range(20)]
    writes = Writes()
    requests = repository.accept(*packages)
    repository.publisher(store=writes.through(repository.store)).publish(requests, now=repository.now)
    assert writes.log == ["create", "create", "create", "replace_timestamp"]
    device = repository.device(tmp_path)
    assert all(device.finds(package) for package in packages)


def test_untouched_bins_are_neither_written_nor_fetched_again(tmp_path: Path) -> None:
    repository, package = Repository(bins=16), new_package()
    device = repository.device(tmp_path)
    repository.publisher().publish(repository.accept(package), now=repository.now)
    assert sorted(name for name in repository.store.files if name.startswith("2.")) == [
        f"2.{repository.writer().open().value.bin_of(package.path)}.json",
        "2.snapshot.json",
    ]
    assert device.finds(package)
    assert len([name for name in device.fetcher.fetched if "bin-" in name]) == 1


def test_request_that_comes_again_writes_nothing() -> None:
    repository, package = Repository(), new_package()
    requests = repository.accept(package)
    repository.publisher().publish(requests, now=repository.now)
    files = dict(repository.store.files)
    repository.publisher().publish(requests * 2, now=repository.now)
    assert repository.store.files == files
    assert len(repository.events.published) == 1


def test_request_for_a_package_never_accepted_is_passed_over() -> None:
    repository, package = Repository(), new_package()
    requests = [IndexRequest(name="unknown", version="1.0.0"), *repository.accept(package)]
    repository.publisher().publish(requests, now=repository.now)
    _assert_published(repository, "gateway-fw", "1.0.0")


def test_nothing_published_ever_changes_even_if_the_table_forgot_it(tmp_path: Path) -> None:
    repository, package = Repository(), new_package()
    repository.publisher().publish(repository.accept(package), now=repository.now)
    repository.packages.rows.clear()
    other = new_package(sha256="cd" * 32)
    repository.publisher().publish(repository.accept(other), now=repository.now)
    device = repository.device(tmp_path)
    assert device.finds(package)
    assert not device.finds(other)
    assert repository.packages.get("gateway-fw", "1.0.0").value.state is PackageState.REFUSED


def test_one_device_follows_the_index_through_the_death_of_every_publisher(tmp_path: Path) -> None:
    repository = Repository(bins=2)
    device = repository.device(tmp_path)
    packages: list[Package] = []

    def publish(writes: Writes) -> None:
        package = new_package(version=f"1.{len(packages)}.0")
        packages.append(package)
        publisher = repository.publisher(
            store=writes.through(repository.store),
            packages=writes.through(repository.packages),
            events=writes.through(repository.events),
        )
        publisher.publish(repository.accept(package), now=repository.now)

    deaths = 0
    for death in every_death(publish):
        deaths += 1
        victim = packages[-1]
        was_visible = device.finds(victim)
        assert was_visible or repository.packages.get(victim.name, victim.version.text).value.state is (
            PackageState.ACCEPTED
        ), death
        if deaths % 3:
            continue  # Leave several dead publishers' files behind before somebody finishes the work.
        repository.publisher().publish([request_for(package) for package in packages], now=repository.now)
        assert all(device.finds(package) for package in packages), death
    assert deaths == 10
    repository.publisher().publish([request_for(package) for package in packages], now=repository.now)
    for package in packages:
        assert device.finds(package)
        _assert_published(repository, package.name, package.version.text)
    told = {event.id for event in repository.events.published}
    # The two that died between the row and the event told nobody; that is all an event may cost.
    assert len(told) == len(packages) - 2


@pytest.mark.parametrize("write", range(3))
def test_of_two_racing_publishers_one_wins_and_nothing_is_lost(tmp_path: Path, write: int) -> None:
    """The first one stalls before one of its writes for so long that its lease runs out and a second one publishes."""
    repository = Repository(bins=1)
    device = repository.device(tmp_path)
    slow, fast = new_package(version="1.0.0"), new_package(version="2.0.0")
    requests = repository.accept(slow, fast)

    def overtake(number: int) -> None:
        if number == write:
            repository.store.expire_lease()
            repository.publisher().publish(requests[1:], now=repository.now)
            assert device.finds(fast)

    stalled = Writes(before=overtake)
    with pytest.raises(ConcurrentChange):
        repository.publisher(store=stalled.through(repository.store)).publish(requests[:1], now=repository.now)
    assert device.finds(fast)
    assert not device.finds(slow)
    repository.publisher().publish(requests, now=repository.now)
    assert device.finds(slow)
    assert device.finds(fast)


def test_second_publisher_waits_outside() -> None:
    repository = Repository()
    requests = repository.accept(new_package())
    with repository.store.hold(), pytest.raises(Unavailable):
        repository.publisher().publish(requests, now=repository.now)
    assert repository.packages.get("gateway-fw", "1.0.0").value.state is PackageState.ACCEPTED


@pytest.mark.parametrize("role", ["bins", "snapshot", "timestamp"])
def test_key_the_index_does_not_name_publishes_nothing_that_devices_see(tmp_path: Path, role: str) -> None:
    repository = Repository()
    requests = repository.accept(new_package())
    strangers = new_owners().online
    mixed = {**repository.keys.signers, KeyRole(role): strangers.signers[KeyRole(role)]}
    wrong = replace(repository.writer(), keys=MemoryKeyRing(signers=mixed))
    publisher = repository.publisher()
    before = repository.store.read("timestamp.json")
    with pytest.raises(KeyUnusable):
        replace(publisher, writer=wrong).publish(requests, now=repository.now)
    assert repository.store.read("timestamp.json") == before
    repository.device(tmp_path).refresh()


def test_publisher_does_not_build_on_a_forged_index() -> None:
    repository, forger = Repository(), Repository()
    repository.store.files["1.snapshot.json"] = forger.store.files["1.snapshot.json"]
    with pytest.raises(IndexUntrusted):
        repository.publisher().publish(repository.accept(new_package()), now=repository.now)


def test_what_clients_take_is_what_the_tuf_client_takes() -> None:
    config = UpdaterConfig()
    assert {
        "root": config.root_max_length,
        "timestamp": config.timestamp_max_length,
        "snapshot": config.snapshot_max_length,
    } == MAX_BYTES
    assert config.targets_max_length == MAX_TARGETS_BYTES


def test_bin_that_no_client_would_take_is_never_published_and_loses_no_package(tmp_path: Path) -> None:
    repository, known = Repository(bins=2), new_package()
    repository.publisher().publish(repository.accept(known), now=repository.now)
    index, files = repository.writer().open().value, dict(repository.store.files)
    many = [new_package(f"gateway-{number}", "1.0.0", f"{number:064x}") for number in range(50_000)]
    crowded = [package for package in many if index.bin_of(package.path) == index.bins[0]]
    beside = next(package for package in many if index.bin_of(package.path) == index.bins[1])
    with pytest.raises(IndexTooLarge, match="more bins"):
        repository.publisher().publish(repository.accept(*crowded), now=repository.now)
    assert repository.store.files == files
    assert repository.packages.get(crowded[0].name, "1.0.0").value.state is PackageState.ACCEPTED
    repository.publisher().publish(repository.accept(beside), now=repository.now)
    device = repository.device(tmp_path)
    assert device.finds(known)
    assert device.finds(beside)
    assert not device.finds(crowded[0])
