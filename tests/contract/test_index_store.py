"""What every index store does: in memory, and over a real Azurite."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Protocol

import pytest
from azure.storage.blob import BlobLeaseClient, BlobServiceClient

from shared.adapters.azure_index import AzureIndex
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere, Unavailable
from shared.ports.packages import IndexStore
from shared.ports.stored import Stored
from shared.trust.index import TIMESTAMP_FILE
from tests.support.memory_packages import MemoryIndex


class Bench(Protocol):
    """A store, and a way to let the lease of a publisher that still works run out."""

    store: IndexStore

    def expire_lease(self) -> None: ...


class MemoryBench:
    def __init__(self) -> None:
        self.store = self._memory = MemoryIndex()

    def expire_lease(self) -> None:
        self._memory.expire_lease()


class AzuriteBench:
    def __init__(self, service: BlobServiceClient) -> None:
        container = service.get_container_client("metadata")
        if not container.exists():
            container.create_container()
        self._timestamp = container.get_blob_client(TIMESTAMP_FILE)
        self.store = AzureIndex(service, wait=lambda _: None)

    def expire_lease(self) -> None:
        BlobLeaseClient(self._timestamp).break_lease(lease_break_period=0)


@pytest.fixture(params=["memory", "azurite"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "memory":
        yield MemoryBench()
        return
    with BlobServiceClient.from_connection_string(request.getfixturevalue("storage_connection")) as service:
        yield AzuriteBench(service)
        service.delete_container("metadata")


@pytest.fixture
def store(bench: Bench) -> IndexStore:
    return bench.store


def test_file_comes_back_as_it_was_written(store: IndexStore) -> None:
    name = f"{secrets.randbelow(10**6) + 1}.bin-0.json"
    with pytest.raises(NotThere):
        store.read(name)
    store.create(name, b"{}")
    assert store.read(name).value == b"{}"
    assert store.read(name).etag.startswith('"')


def test_nothing_written_is_ever_overwritten(store: IndexStore) -> None:
    store.create("1.snapshot.json", b"first")
    with pytest.raises(AlreadyExists):
        store.create("1.snapshot.json", b"second")
    assert store.read("1.snapshot.json").value == b"first"


def test_only_the_holder_who_read_the_timestamp_last_replaces_it(store: IndexStore) -> None:
    store.create(TIMESTAMP_FILE, b"one")
    seen = store.read(TIMESTAMP_FILE)
    with store.hold() as lease:
        store.replace_timestamp(Stored(value=b"two", etag=seen.etag), lease)
        with pytest.raises(ConcurrentChange):
            store.replace_timestamp(Stored(value=b"three", etag=seen.etag), lease)
    assert store.read(TIMESTAMP_FILE).value == b"two"


def test_there_is_one_holder_at_a_time(store: IndexStore) -> None:
    store.create(TIMESTAMP_FILE, b"one")
    with store.hold(), pytest.raises(Unavailable), store.hold():
        pass
    with store.hold():
        pass


def test_holder_whose_lease_ran_out_replaces_nothing(bench: Bench) -> None:
    store = bench.store
    store.create(TIMESTAMP_FILE, b"one")
    seen = store.read(TIMESTAMP_FILE)
    with store.hold() as old_lease:
        bench.expire_lease()
        with store.hold(), pytest.raises(ConcurrentChange):
            store.replace_timestamp(Stored(value=b"two", etag=seen.etag), old_lease)
    assert store.read(TIMESTAMP_FILE).value == b"one"


def test_publisher_waits_for_the_one_before_it(storage_connection: str) -> None:
    with BlobServiceClient.from_connection_string(storage_connection) as service:
        bench = AzuriteBench(service)
        bench.store.create(TIMESTAMP_FILE, b"one")
        patient = AzureIndex(service, wait=lambda _: bench.expire_lease())
        with bench.store.hold() as first, patient.hold() as second:
            assert first != second
        service.delete_container("metadata")


def test_readers_do_not_wait_for_the_holder(store: IndexStore) -> None:
    store.create(TIMESTAMP_FILE, b"one")
    with store.hold():
        assert store.read(TIMESTAMP_FILE).value == b"one"


def test_there_is_nothing_to_hold_before_the_index_is_founded(store: IndexStore) -> None:
    with pytest.raises(NotThere), store.hold():
        pass
