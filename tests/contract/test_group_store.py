"""What every group store and every store of lists does: in memory, and over a real Azurite."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from azure.storage.blob import BlobServiceClient

from shared.adapters.azure_groups import AzureGroups
from shared.adapters.azure_target_lists import AzureTargetLists
from shared.domain.groups import Group, delete, group_name, redefine
from shared.ports.errors import ConcurrentChange, NotThere
from shared.ports.stored import Stored
from shared.ports.targets import GroupStore, TargetLists
from tests.support.memory_targets import MemoryGroups, MemoryTargetLists
from tests.support.tables import new_table

NOW = datetime(2030, 5, 1, 12, 30, 15, 250_000, tzinfo=UTC)
QUERY = "SELECT * FROM devices WHERE tags.site = 'it''s north'"


@pytest.fixture(params=["memory", "azurite"])
def store(request: pytest.FixtureRequest) -> Iterator[GroupStore]:
    if request.param == "memory":
        yield MemoryGroups()
        return
    with new_table(request.getfixturevalue("storage_connection"), "groups") as table:
        yield AzureGroups(table)


def make(name: str, query: str = QUERY) -> Group:
    return Group(name=group_name(name), query=query, number=1, changed_by="ada", changed_at=NOW)


def found(store: GroupStore, name: str) -> Stored[Group]:
    row = store.find(group_name(name))
    assert row is not None
    return row


def test_a_group_comes_back_as_it_was_written(store: GroupStore) -> None:
    store.save(Stored(value=make("north"), etag=""))
    assert found(store, "north").value == make("north")
    assert store.find(group_name("south")) is None


def test_a_group_is_made_once_and_changed_only_by_whoever_read_it_last(store: GroupStore) -> None:
    store.save(Stored(value=make("north"), etag=""))
    with pytest.raises(ConcurrentChange):
        store.save(Stored(value=make("north"), etag=""))
    read = found(store, "north")
    changed = redefine(read.value, query="", list_name="north.txt", who="grace", now=NOW)
    store.save(replace(read, value=changed))
    with pytest.raises(ConcurrentChange):
        store.save(read)
    assert found(store, "north").value == changed


def test_pages_hold_what_is_not_deleted_in_the_order_of_names(store: GroupStore) -> None:
    for name in ("e", "b", "d", "a", "c"):
        store.save(Stored(value=make(name), etag=""))
    gone = found(store, "b")
    store.save(replace(gone, value=delete(gone.value, who="grace", now=NOW)))

    names: list[list[str]] = []
    continuation, more = "", True
    while more:
        page = store.list_page(size=2, continuation=continuation)
        names.append([group.name for group in page.items])
        continuation = page.continuation
        more = bool(continuation)

    assert names == [["a", "c"], ["d", "e"]]
    assert found(store, "b").value.is_deleted


@pytest.fixture(params=["memory", "azurite"])
def lists(request: pytest.FixtureRequest) -> Iterator[TargetLists]:
    content = b"".join(b"device-%07d\n" % number for number in range(100))
    if request.param == "memory":
        memory = MemoryTargetLists()
        memory.blobs["fleets/north.txt"] = content
        yield memory
        return
    with BlobServiceClient.from_connection_string(request.getfixturevalue("storage_connection")) as service:
        container = service.create_container(f"target-lists-{secrets.token_hex(6)}")
        container.upload_blob("fleets/north.txt", content)
        yield AzureTargetLists(container)


def test_a_list_is_streamed_whole(lists: TargetLists) -> None:
    content = b"".join(lists.stream("fleets/north.txt"))
    assert len(content.splitlines()) == 100
    with pytest.raises(NotThere):
        list(lists.stream("fleets/south.txt"))


def test_a_list_that_is_written_while_it_is_read_is_not_read_as_a_mixture(storage_connection: str) -> None:
    pieces = {"max_single_get_size": 1_000, "max_chunk_get_size": 1_000}
    with BlobServiceClient.from_connection_string(storage_connection, **pieces) as service:
        container = service.create_container(f"target-lists-{secrets.token_hex(6)}")
        container.upload_blob("north.txt", b"a\n" * 2_000)
        stream = AzureTargetLists(container).stream("north.txt")
        assert next(iter(stream)) == b"a\n" * 500
        container.upload_blob("north.txt", b"b\n" * 2_000, overwrite=True)
        with pytest.raises(ConcurrentChange):
            list(stream)
