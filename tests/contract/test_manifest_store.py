"""What every manifest store does, and how blob errors are told apart."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob import BlobServiceClient, ContainerClient

from shared.adapters.azure_blob_errors import blob_errors
from shared.adapters.azure_manifests import AzureManifests
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.waves import DeviceBatch
from shared.ports.campaigns import ManifestStore
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere, Unavailable
from tests.support.memory_campaigns import MemoryManifests

SPRING = CampaignId("spring")
ODD = [DeviceId(text) for text in ("a#1", "b?'2", "c%2F", "-.%_*?!(),:=@$'#")]


@pytest.fixture
def container(storage_connection: str) -> Iterator[ContainerClient]:
    with BlobServiceClient.from_connection_string(storage_connection) as service:
        yield service.create_container(f"manifests-{secrets.token_hex(6)}")


@pytest.fixture(params=["memory", "azure"])
def store(request: pytest.FixtureRequest) -> ManifestStore:
    if request.param == "memory":
        return MemoryManifests()
    return AzureManifests(request.getfixturevalue("container"))


def test_pages_are_read_back_in_order(store: ManifestStore) -> None:
    for page in reversed(range(12)):
        store.write_page(SPRING, page, [DeviceId(f"d{page}"), *ODD])
    assert [page[0] for page in store.read_pages(SPRING, 12)] == [f"d{page}" for page in range(12)]
    assert [page[0] for page in store.read_pages(SPRING, 9, start=7)] == ["d7", "d8"]


def test_a_page_may_be_empty_and_be_written_again(store: ManifestStore) -> None:
    store.write_page(SPRING, 0, ODD)
    store.write_page(SPRING, 0, [])
    assert list(store.read_pages(SPRING, 1)) == [[]]


def test_a_manifest_keeps_its_order_and_every_odd_id(store: ManifestStore) -> None:
    store.write_manifest(SPRING, iter(ODD))
    assert store.read_manifest(SPRING) == ODD


def test_each_edition_of_a_manifest_is_kept_by_itself(store: ManifestStore) -> None:
    store.write_manifest(SPRING, ODD)
    store.write_manifest(SPRING, reversed(ODD), edition="0f")
    assert (store.read_manifest(SPRING), store.read_manifest(SPRING, edition="0f")) == (ODD, ODD[::-1])


def test_batches_and_their_members_are_read_back_per_wave(store: ManifestStore) -> None:
    batches = [DeviceBatch(wave=2, shard=1, number=n, first=ODD[0], last=ODD[-1], count=4) for n in range(3)]
    store.write_batches(SPRING, 2, iter(batches))
    store.write_members(SPRING, 2, 0, iter([ODD, ODD[:2]]))
    store.write_members(SPRING, 2, 1, [[DeviceId("x")]])
    assert store.read_batches(SPRING, 2) == batches
    assert store.read_members(SPRING, 2, 0) == [ODD, ODD[:2]]
    assert store.read_members(SPRING, 2, 1) == [[DeviceId("x")]]


def test_what_devices_say_they_are_is_kept_by_part_and_replaced(store: ManifestStore) -> None:
    store.write_hardware(SPRING, 0, 7, dict.fromkeys(ODD, "mk2"))
    store.write_hardware(SPRING, 1, 7, {ODD[0]: "mk2", ODD[1]: "Größe 3"})
    assert store.read_hardware(SPRING, 0, 7) == dict.fromkeys(ODD, "mk2")
    assert store.read_hardware(SPRING, 1, 7) == {ODD[0]: "mk2", ODD[1]: "Größe 3"}
    store.write_hardware(SPRING, 1, 7, {ODD[1]: "mk4"})
    assert store.read_hardware(SPRING, 1, 7) == {ODD[1]: "mk4"}
    assert store.read_hardware(SPRING, 1, 8) == {}, "nobody has to know anything"


def test_what_was_never_written_is_not_there(store: ManifestStore) -> None:
    with pytest.raises(NotThere):
        store.read_manifest(SPRING)
    with pytest.raises(NotThere):
        store.read_batches(SPRING, 1)


def test_blobs_of_dry_runs_go_as_they_were_listed(container: ContainerClient, store: ManifestStore) -> None:
    drafts: Any = store
    for owner in ("c1", "o1", "o2"):
        store.write_page(CampaignId(owner), 0, ODD)
        store.write_batches(CampaignId(owner), 1, [])
    listed = list(drafts.list_drafts())
    assert [(blob.operation, blob.name) for blob in listed] == [
        (owner, f"{owner}/{name}")
        for owner in ("o1", "o2")
        for name in ("pages/000000.txt", "waves/0001/batches.jsonl")
    ]
    store.write_page(CampaignId("o2"), 0, ODD[:1])
    for blob in [*listed, *listed]:
        drafts.delete_draft(blob)
    assert [blob.name for blob in drafts.list_drafts()] == ["o2/pages/000000.txt"]
    assert list(store.read_pages(CampaignId("o2"), 1)) == [ODD[:1]]
    assert list(store.read_pages(CampaignId("c1"), 1)) == [ODD]


def test_blob_errors_are_told_apart_by_what_a_retry_can_do(container: ContainerClient) -> None:
    blob = container.upload_blob("one", b"first")
    stale = blob.get_blob_properties().etag
    blob.upload_blob(b"second", overwrite=True)
    with pytest.raises(AlreadyExists), blob_errors():
        blob.upload_blob(b"third", overwrite=False)
    with pytest.raises(ConcurrentChange), blob_errors():
        blob.upload_blob(b"third", overwrite=True, etag=stale, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ConcurrentChange), blob_errors():
        blob.download_blob(etag=stale, match_condition=MatchConditions.IfNotModified).readall()
    with pytest.raises(NotThere), blob_errors():
        container.get_blob_client("other").get_blob_properties()
    with pytest.raises(Unavailable), blob_errors():
        raise ServiceRequestError("no route")
