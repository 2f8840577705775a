"""Owners publish: founding, rotating every role, losing every online key, and dying at any write of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Timestamp

from shared.domain.packages import Package
from shared.handlers.index_writing import add_packages
from shared.handlers.publish_owned import OwnerPublisher
from shared.handlers.refresh_index import refresh_index
from shared.ports.errors import AlreadyExists, KeyUnusable
from shared.ports.packages import IndexStore
from shared.ports.stored import Stored
from shared.trust.authorities import Publisher, PublisherRule
from shared.trust.ceremonies import CeremonyRefused
from shared.trust.index import IndexUntrusted, add_signature, describe_snapshot
from shared.trust.publishers import sign_package
from shared.trust.roots import RootChanges, replace_keys, revoke_key
from shared.trust.signers import KeyRole
from tests.support.deaths import Writes, every_death
from tests.support.memory_keys import MemoryKeyRing
from tests.support.memory_packages import MemoryIndex, MemoryPackages
from tests.support.owners import Owners, new_key, new_owners
from tests.support.repository import Repository, new_package

type Files = dict[str, bytes]


def _publish(repository: Repository, files: Files, store: IndexStore | None = None) -> None:
    repository.owner_publisher(store).publish(now=repository.now, **files)


def _next_root(repository: Repository, changes: RootChanges, also: list[Signer] | None = None) -> bytes:
    newest = repository.writer().newest_root()
    return repository.owners.next_root(
        newest.to_bytes(), changes, repository.policy, now=repository.now, also=also or []
    )


def rotate_root(repository: Repository) -> Files:
    old = list(repository.owners.root)
    repository.owners.root = [new_key() for _ in old]
    keys = [signer.public_key for signer in repository.owners.root]
    return {"root": _next_root(repository, replace_keys(repository.writer().newest_root(), "root", keys), old)}


def rotate_online(role: KeyRole) -> Callable[[Repository], Files]:
    def rotate(repository: Repository) -> Files:
        key = repository.keys.add(role).public_key
        return {"root": _next_root(repository, replace_keys(repository.writer().newest_root(), role, [key]))}

    return rotate


def rotate_targets(repository: Repository) -> Files:
    old = list(repository.owners.targets)
    repository.owners.targets = [new_key()]
    keys = [repository.owners.targets[0].public_key]
    root = _next_root(repository, replace_keys(repository.writer().newest_root(), "targets", keys))
    return {"root": root, "targets": _targets(repository, also=old)}


def rotate_bins(repository: Repository) -> Files:
    repository.keys.add(KeyRole.BINS)
    return {"targets": _targets(repository)}


def rotate_intents(repository: Repository) -> Files:
    repository.owners.trust(intent_keys=(repository.keys.add(KeyRole.INTENTS).public_key,))
    return {"targets": _targets(repository)}


def lose_all_online_keys(repository: Repository) -> Files:
    """Every online key was stolen: all are disabled, new ones are made, and the owners name those."""
    repository.keys.signers.clear()
    keys = {role: [repository.keys.add(role).public_key] for role in KeyRole if role is not KeyRole.TARGETS}
    repository.owners.trust(intent_keys=tuple(keys[KeyRole.INTENTS]))
    newest = repository.writer().newest_root()
    changes = RootChanges(
        added={"snapshot": keys[KeyRole.SNAPSHOT], "timestamp": keys[KeyRole.TIMESTAMP]},
        removed={role: list(newest.signed.roles[role].keyids) for role in ("snapshot", "timestamp")},
    )
    return {"root": _next_root(repository, changes), "targets": _targets(repository)}


def _targets(repository: Repository, also: list[Signer] | None = None) -> bytes:
    version = repository.writer().open().value.targets.signed.version + 1 if _opens(repository) else 2
    return repository.owners.sign_targets(version, repository.policy, now=repository.now, also=also or [])


def _opens(repository: Repository) -> bool:
    try:
        repository.writer().open()
    except IndexUntrusted:
        return False
    return True


QUIET: dict[str, Callable[[Repository], Files]] = {
    "root": rotate_root,
    "targets": rotate_targets,
    "snapshot": rotate_online(KeyRole.SNAPSHOT),
    "timestamp": rotate_online(KeyRole.TIMESTAMP),
    "bins": rotate_bins,
    "intents": rotate_intents,
}
LOUD: dict[str, Callable[[Repository], Files]] = {"all online keys": lose_all_online_keys}


def _founded(*packages: Package) -> Repository:
    repository = Repository(bins=2)
    repository.publisher().publish(repository.accept(*packages), now=repository.now)
    return repository


@pytest.mark.parametrize("change", [*QUIET.values(), *LOUD.values()], ids=[*QUIET, *LOUD])
def test_after_a_rotation_every_device_believes_the_index_and_publishing_goes_on(
    tmp_path: Path, change: Callable[[Repository], Files]
) -> None:
    before, after = new_package(), new_package("router-fw")
    repository = _founded(before)
    seen = repository.device(tmp_path / "seen")
    assert seen.finds(before)

    _publish(repository, change(repository))
    refresh_index(repository.writer(), now=repository.now)
    repository.publisher().publish(repository.accept(after), now=repository.now)

    for device in (seen, repository.device(tmp_path / "new")):
        assert device.finds(before)
        assert device.finds(after)


@pytest.mark.parametrize("change", QUIET.values(), ids=QUIET)
def test_owners_may_die_at_any_write_and_no_device_notices(
    tmp_path: Path, change: Callable[[Repository], Files]
) -> None:
    package = new_package()
    state: dict[str, tuple[Repository, Files]] = {}

    def run(writes: Writes) -> None:
        repository = _founded(package)
        repository.device(tmp_path / f"seen-{id(repository)}").refresh()
        state["now"] = repository, (files := change(repository))
        _publish(repository, files, writes.through(repository.store))

    for number, _ in enumerate(every_death(run)):
        repository, files = state["now"]
        seen = repository.device(tmp_path / f"seen-{id(repository)}")
        assert seen.finds(package)
        assert repository.device(tmp_path / f"new-{number}").finds(package)
        _publish(repository, files)
        _publish(repository, files)
        assert seen.finds(package)
        refresh_index(repository.writer(), now=repository.now)
        assert repository.device(tmp_path / f"later-{number}").finds(package)


def test_founder_may_die_at_any_write(tmp_path: Path) -> None:
    owners, template = new_owners(), Repository(bins=2)
    root = owners.first_root(template.policy, now=template.now)
    targets = owners.sign_targets(1, template.policy, now=template.now)
    store = MemoryIndex()

    def publisher(through: IndexStore) -> OwnerPublisher:
        writer = replace(template.writer(through), keys=owners.online, root=root)
        return OwnerPublisher(writer=writer, packages=MemoryPackages())

    def found(writes: Writes) -> None:
        nonlocal store
        store = MemoryIndex()
        publisher(writes.through(store)).publish(root=root, targets=targets, now=template.now)

    for number, _ in enumerate(every_death(found)):
        publisher(store).publish(root=root, targets=targets, now=template.now)
        replace_device = Repository.device(replace(template), tmp_path / str(number))
        replace_device._store, replace_device._root = store, root
        replace_device.refresh()


def test_after_all_online_keys_were_stolen_a_death_leaves_what_publishing_again_mends(tmp_path: Path) -> None:
    """Until it is mended devices are told to come again; none believes anything of the thief's."""
    package = new_package()
    state: dict[str, tuple[Repository, Files]] = {}

    def run(writes: Writes) -> None:
        repository = _founded(package)
        repository.device(tmp_path / f"seen-{id(repository)}").refresh()
        state["now"] = repository, (files := lose_all_online_keys(repository))
        _publish(repository, files, writes.through(repository.store))

    for _ in every_death(run):
        repository, files = state["now"]
        _publish(repository, files)
        assert repository.device(tmp_path / f"seen-{id(repository)}").finds(package)
        assert repository.device(tmp_path / f"new-{id(repository)}").finds(package)


def test_what_a_thief_put_into_the_bins_does_not_survive(tmp_path: Path) -> None:
    """With all online keys and the storage account a thief adds a package; the rebuild goes by table and publisher."""
    acme, owners = new_key(), new_owners()
    owners.trust(publishers=(Publisher(name="acme", keys=(acme.public_key,)),), publisher_rule=PublisherRule.REQUIRED)
    repository = Repository(bins=2, owners=owners)
    good = replace(new_package(), publisher=sign_package(new_package(), acme))
    repository.publisher().publish(repository.accept(good), now=repository.now)
    evil = new_package("evil-fw")
    _force_into_bin(repository, evil)
    planted = replace(new_package("planted-fw"), publisher=good.publisher)
    repository.accept(planted)

    _publish(repository, lose_all_online_keys(repository))

    device = repository.device(tmp_path)
    assert device.finds(good)
    assert not device.finds(evil)
    assert not device.finds(planted)


def _force_into_bin(repository: Repository, package: Package) -> None:
    writer = repository.writer()
    with repository.store.hold() as lease:
        opened = writer.open()
        name = opened.value.bin_of(package.path)
        bin_ = add_packages(name, writer.read_bin(opened.value, name), [package])
        version = writer.write_bin(opened.value, bin_, now=repository.now)
        snapshot = writer.write_snapshot(opened.value, {name: version}, now=repository.now)
        writer.make_visible(opened, snapshot, lease=lease, now=repository.now)


def test_fast_forward_and_recovery(tmp_path: Path) -> None:
    """A thief of snapshot and timestamp keys publishes the highest versions there are; new keys bring devices back."""
    package, later = new_package(), new_package("router-fw")
    repository = _founded(package)
    device = repository.device(tmp_path)
    assert device.finds(package)
    _fast_forward(repository)
    device.refresh()

    files = lose_all_online_keys(repository)
    _publish(repository, files)
    repository.publisher().publish(repository.accept(later), now=repository.now)
    assert device.finds(package)
    assert device.finds(later)


def _fast_forward(repository: Repository) -> None:
    highest = 2**31
    index = repository.writer().open().value
    snapshot = Metadata(
        Snapshot(version=highest, expires=index.snapshot.signed.expires, meta=index.snapshot.signed.meta)
    )
    add_signature(snapshot, repository.keys.newest(KeyRole.SNAPSHOT))
    content = snapshot.to_bytes()
    repository.store.create(f"{highest}.snapshot.json", content)
    timestamp = Metadata(
        Timestamp(
            version=highest,
            expires=index.timestamp.signed.expires,
            snapshot_meta=describe_snapshot(highest, content),
        )
    )
    add_signature(timestamp, repository.keys.newest(KeyRole.TIMESTAMP))
    repository.store.files["timestamp.json"] = Stored(value=timestamp.to_bytes(), etag='"stolen"')


def test_revoked_key_signs_nothing_more(tmp_path: Path) -> None:
    owners = new_owners(root_keys=3)
    repository = Repository(bins=2, owners=owners, root_threshold=2)
    stolen = owners.root.pop(0)
    changes = revoke_key(repository.writer().newest_root(), stolen.public_key.keyid[:10])
    _publish(repository, {"root": _next_root(repository, changes)})
    root = repository.writer().newest_root().signed
    assert stolen.public_key.keyid not in root.keys

    owners.root = [stolen, owners.root[0]]
    forged = _next_root(repository, RootChanges())
    with pytest.raises(CeremonyRefused, match="no root key"):
        _publish(repository, {"root": forged})


def test_root_below_the_threshold_is_refused_and_says_who_can_sign(tmp_path: Path) -> None:
    owners = new_owners(root_keys=3)
    repository = Repository(bins=2, owners=owners, root_threshold=2)
    everybody = list(owners.root)
    owners.root = everybody[:1]
    changes = replace_keys(
        repository.writer().newest_root(), "timestamp", [repository.keys.add(KeyRole.TIMESTAMP).public_key]
    )
    with pytest.raises(CeremonyRefused, match="lacks 1 of the 2 signatures that root 1 asks for") as refused:
        _publish(repository, {"root": _next_root(repository, changes)})
    assert everybody[1].public_key.keyid[:12] in refused.value.message
    assert "2.root.json" not in repository.store.files


def test_root_that_skips_a_version_is_refused() -> None:
    repository = _founded(new_package())
    newest = Metadata[Root].from_bytes(_next_root(repository, RootChanges()))
    skipping = repository.owners.next_root(newest.to_bytes(), RootChanges(), repository.policy, now=repository.now)
    with pytest.raises(CeremonyRefused, match="may not skip a version: propose 2"):
        _publish(repository, {"root": skipping})


def test_another_root_of_the_same_version_is_refused() -> None:
    repository = _founded(new_package())
    first, second = _next_root(repository, RootChanges()), rotate_root(repository)["root"]
    _publish(repository, {"root": first})
    with pytest.raises((CeremonyRefused, IndexUntrusted, AlreadyExists)):
        _publish(repository, {"root": second})
    assert repository.store.read("2.root.json").value == first


@pytest.mark.parametrize("role", [KeyRole.SNAPSHOT, KeyRole.TIMESTAMP, KeyRole.BINS, KeyRole.INTENTS])
def test_key_that_is_named_and_not_here_publishes_nothing(role: KeyRole) -> None:
    repository = _founded(new_package())
    change = QUIET[role](repository)
    gone = repository.keys.signers[role].pop(0)
    assert gone
    before = dict(repository.store.files)
    with pytest.raises(KeyUnusable, match=role):
        _publish(repository, change)
    assert repository.store.files == before


def test_root_that_does_not_believe_the_present_targets_role_needs_another_with_it() -> None:
    repository = _founded(new_package())
    files = rotate_targets(repository)
    with pytest.raises(CeremonyRefused, match="publish a targets role signed with the new ones together with it"):
        _publish(repository, {"root": files["root"]})
    assert "2.root.json" not in repository.store.files


def test_targets_role_of_an_old_version_is_refused() -> None:
    repository = _founded(new_package())
    _publish(repository, rotate_intents(repository))
    stale = repository.owners.sign_targets(2, repository.policy, now=repository.now + timedelta(days=1))
    with pytest.raises(CeremonyRefused, match="propose 3"):
        _publish(repository, {"targets": stale})


def test_index_of_other_owners_is_not_built_upon() -> None:
    repository, strangers = _founded(new_package()), Owners()
    root = strangers.first_root(repository.policy, now=repository.now)
    targets = strangers.sign_targets(1, repository.policy, now=repository.now)
    writer = replace(repository.writer(), keys=strangers.online, root=root)
    before = dict(repository.store.files)
    with pytest.raises(IndexUntrusted):
        OwnerPublisher(writer=writer, packages=repository.packages).publish(
            root=root, targets=targets, now=repository.now
        )
    assert {name: repository.store.files[name] for name in before} == before


def test_package_published_while_the_index_is_rebuilt_is_not_lost(tmp_path: Path) -> None:
    first, second = new_package(), new_package("router-fw")
    repository = _founded(first)
    files = rotate_bins(repository)
    requests = repository.accept(second)
    published: list[int] = []

    def publish_between(number: int) -> None:
        if number == 1 and not published:
            published.append(number)
            keys = MemoryKeyRing(signers={role: signers[-1:] for role, signers in repository.keys.signers.items()})
            replace(repository.publisher(), writer=replace(repository.writer(), keys=keys)).publish(
                requests, now=repository.now
            )

    _publish(repository, files, Writes(before=publish_between).through(repository.store))
    device = repository.device(tmp_path)
    assert published
    assert device.finds(first)
    assert device.finds(second)


def test_thief_of_the_storage_account_cannot_replace_the_root_the_service_was_born_with(tmp_path: Path) -> None:
    repository, thief = _founded(new_package()), Repository(bins=2)
    repository.store.files.clear()
    repository.store.files.update(thief.store.files)
    with pytest.raises(IndexUntrusted):
        repository.publisher().publish(repository.accept(new_package("evil-fw")), now=repository.now)
    with pytest.raises(RepositoryError):
        repository.device(tmp_path).refresh()
