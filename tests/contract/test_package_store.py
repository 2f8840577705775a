"""What every package store does: in memory, and over a real Azurite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.adapters.azure_packages_table import AzurePackages
from shared.domain.ids import package_name
from shared.domain.packages import PackageKind, PackageState, PackageWithdrawal, RegisteredPackage
from shared.domain.versions import Version
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere
from shared.ports.packages import PackageStore
from tests.support.memory_packages import MemoryPackages, settled
from tests.support.repository import new_package
from tests.support.tables import new_table

NOW = datetime(2030, 5, 1, 12, 30, 15, 250_000, tzinfo=UTC)


@pytest.fixture(params=["memory", "azurite"])
def store(request: pytest.FixtureRequest) -> Iterator[PackageStore]:
    if request.param == "memory":
        yield MemoryPackages()
        return
    with new_table(request.getfixturevalue("storage_connection"), "packages") as table:
        yield AzurePackages(table)


def _row(name: str = "gateway-fw", version: str = "1.0.0") -> RegisteredPackage:
    return RegisteredPackage(package=new_package(name, version), source="gateway-fw/1.0.0/it's.img", accepted_at=NOW)


def test_row_comes_back_as_it_was_written(store: PackageStore) -> None:
    package = replace(
        new_package(),
        name=package_name("libx+y.z_1"),
        version=Version("1:2.0~rc1+b-3", scheme=PackageKind.DEBIAN.scheme),
        kind=PackageKind.DEBIAN,
        length_bytes=2**33,
    )
    row = replace(_row(), package=package, depends="libc6 (>= 2.36)", state=PackageState.ACCEPTED)
    store.create(row)
    assert store.get("libx+y.z_1", "1:2.0~rc1+b-3").value == row


def test_unknown_package_is_not_there(store: PackageStore) -> None:
    store.create(_row())
    for name, version in (("gateway-fw", "1.0.1"), ("gateway", "1.0.0"), ("it's", "1")):
        with pytest.raises(NotThere):
            store.get(name, version)


def test_name_and_version_are_claimed_once(store: PackageStore) -> None:
    store.create(_row())
    with pytest.raises(AlreadyExists):
        store.create(replace(_row(), source="another"))
    assert store.get("gateway-fw", "1.0.0").value == _row()


def test_row_changes_only_under_the_etag_that_was_read(store: PackageStore) -> None:
    store.create(_row())
    read = store.get("gateway-fw", "1.0.0")
    published = replace(read, value=replace(read.value, state=PackageState.PUBLISHED, published_at=NOW))
    store.save(published)
    assert store.get("gateway-fw", "1.0.0").value == published.value
    with pytest.raises(ConcurrentChange):
        store.save(settled(read, PackageState.REFUSED))


def test_settled_row_may_be_written_again(store: PackageStore) -> None:
    store.create(_row())
    store.save(settled(store.get("gateway-fw", "1.0.0"), PackageState.PUBLISHED))
    store.save(settled(store.get("gateway-fw", "1.0.0"), PackageState.PUBLISHED))
    assert list(store.list_unsettled()) == []


def test_packages_that_wait_for_the_index_are_those_accepted_or_about_to_be_withdrawn(store: PackageStore) -> None:
    for version, state in (("1.0.0", PackageState.PUBLISHED), ("2.0.0", PackageState.REFUSED)):
        store.create(_row(version=version))
        store.save(settled(store.get("gateway-fw", version), state))
    store.create(_row(version="3.0.0"))
    store.create(_row(version="4.0.0"))
    store.save(settled(store.get("gateway-fw", "4.0.0"), PackageState.PUBLISHED))
    read = store.get("gateway-fw", "4.0.0")
    withdrawal = PackageWithdrawal(at=NOW, by="ada", reason="it bricks pumps")
    withdrawn = replace(read, value=replace(read.value, state=PackageState.WITHDRAWING, withdrawal=withdrawal))
    store.save(withdrawn)
    assert store.get("gateway-fw", "4.0.0").value == withdrawn.value
    assert [row.package.version.text for row in store.list_unsettled()] == ["3.0.0", "4.0.0"]


def test_pages_hold_every_package_once(store: PackageStore) -> None:
    for version in ("1.0.0", "1.1.0", "2.0.0", "2.1.0"):
        store.create(_row(version=version))
    store.save(settled(store.get("gateway-fw", "2.0.0"), PackageState.PUBLISHED))
    first = store.list_page(size=3)
    rest = store.list_page(size=3, continuation=first.continuation)
    assert len(first.items) == 3
    assert rest.continuation == ""
    versions = [row.package.version.text for row in (*first.items, *rest.items)]
    assert versions == ["1.0.0", "1.1.0", "2.0.0", "2.1.0"]
