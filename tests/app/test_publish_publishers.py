"""Publishing looks at publishers once more: a row in the table is no proof that ingestion wrote it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from shared.domain.packages import Package, PackageState, RegisteredPackage
from shared.handlers.index_changes import sort_changes
from shared.trust.authorities import Authorities, Publisher, write_authorities
from shared.trust.index import Index
from shared.trust.publishers import sign_package
from tests.support.repository import Repository, new_package
from tests.support.signed_intake import ACME, AUTHORITIES, NORTH, signing_repository

GENUINE = replace(new_package(), publisher=sign_package(new_package(), ACME))


def _signed(package: Package, signer: CryptoSigner) -> Package:
    return replace(package, publisher=sign_package(package, signer))


PLANTED = {
    "unsigned": new_package("evil-fw"),
    "with a signature over another package": replace(new_package("evil-fw"), publisher=GENUINE.publisher),
    "with the digest changed": replace(GENUINE, version=new_package(version="2.0.0").version, sha256="66" * 32),
    "signed by the thief": _signed(new_package("evil-fw"), CryptoSigner.generate_ecdsa()),
    "signed by a publisher of other packages": _signed(new_package("evil-fw"), NORTH),
}


def _state(repository: Repository, package: Package) -> PackageState:
    return repository.packages.get(package.name, package.version.text).value.state


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED.keys())
def test_row_planted_in_the_packages_table_is_not_published(tmp_path: Path, planted: Package) -> None:
    """A thief of the storage account writes a row, and even the request, as if ingestion had accepted it."""
    repository = signing_repository()
    device = repository.device(tmp_path)
    repository.publisher().publish(repository.accept(GENUINE), now=repository.now)
    assert device.finds(GENUINE)
    before = dict(repository.store.files)

    repository.publisher().publish(repository.accept(planted), now=repository.now)

    assert _state(repository, planted) is PackageState.REFUSED
    assert repository.store.files == before
    assert not device.finds(planted)


def test_planted_row_does_not_hold_up_the_others(tmp_path: Path) -> None:
    repository = signing_repository()
    requests = repository.accept(PLANTED["signed by the thief"], GENUINE)
    repository.publisher().publish(requests, now=repository.now)
    assert repository.device(tmp_path).finds(GENUINE)
    assert _state(repository, GENUINE) is PackageState.PUBLISHED
    assert len(repository.events.published) == 1


def _revoked(index: Index) -> Index:
    """The index after its owners have put another key in the place of the publisher's."""
    successor = Publisher(name="acme", keys=(CryptoSigner.generate_ecdsa().public_key,))
    authorities = Authorities(intent_keys=AUTHORITIES.intent_keys, publishers=(successor,))
    targets = Metadata.from_bytes(index.targets.to_bytes())
    targets.signed.targets.update(write_authorities(authorities))
    return replace(index, targets=targets)


def test_package_of_a_revoked_publisher_does_not_enter_but_its_row_does_not_deny_what_the_index_says() -> None:
    """The publishing process died after the timestamp, before the row; then the publisher's key was revoked."""
    repository = signing_repository()
    repository.publisher().publish(repository.accept(GENUINE), now=repository.now)
    later = _signed(new_package(version="2.0.0"), ACME)
    writer = repository.writer()
    revoked = _revoked(writer.open().value)
    rows = [RegisteredPackage(package=each, accepted_at=repository.now) for each in (GENUINE, later)]

    changes = sort_changes(rows, revoked)

    assert [changes.change(name, writer.read_bin(revoked, name)) for name in changes.bins] == [None] * len(changes.bins)
    assert changes.refused == {later.path}
