"""What every archive, and everything that reads rollout rows one by one, does."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest
from azure.data.tables import TableClient
from azure.storage.blob import BlobServiceClient

from shared.adapters.azure_archive import AzureArchive, AzureRolloutRows
from shared.adapters.azure_rollouts import AzureRollouts
from shared.domain.ids import DeviceId
from shared.domain.rollouts import RolloutState
from shared.ports.archive import ArchiveStore, RolloutRows
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere
from shared.ports.rollouts import RolloutChange, RolloutStore
from shared.wire.archive_parts import read_lines, write_lines
from tests.support.memory_archive import MemoryArchive, MemoryRolloutRows
from tests.support.memory_rollouts import MemoryRollouts
from tests.support.rollouts import CAMPAIGN, NOON, ODD_DEVICES, make_rollout
from tests.support.tables import new_table

S = RolloutState
DEVICES = [*ODD_DEVICES, *(DeviceId(f"gw-{number}") for number in range(70))]


@pytest.fixture
def table(storage_connection: str) -> Iterator[TableClient]:
    with new_table(storage_connection, "rollout") as table:
        yield table


@pytest.fixture(params=["memory", "azure"])
def stores(request: pytest.FixtureRequest) -> tuple[RolloutStore, RolloutRows]:
    if request.param == "memory":
        rollouts = MemoryRollouts()
        return rollouts, MemoryRolloutRows(rollouts)
    table = request.getfixturevalue("table")
    return AzureRollouts(table), AzureRolloutRows(table)


@pytest.fixture(params=["memory", "azure"])
def archive(request: pytest.FixtureRequest, storage_connection: str) -> Iterator[ArchiveStore]:
    if request.param == "memory":
        yield MemoryArchive()
        return
    with BlobServiceClient.from_connection_string(storage_connection) as service:
        yield AzureArchive(service.create_container(f"archive-{secrets.token_hex(6)}"))


def fill(rollouts: RolloutStore) -> None:
    made = [make_rollout(device, S.SUCCEEDED, sent_at=NOON) for device in DEVICES]
    assert rollouts.create_batch(CAMPAIGN, 0, made)


def test_rows_come_in_the_order_of_their_keys_without_the_counters(stores: tuple[RolloutStore, RolloutRows]) -> None:
    rollouts, rows = stores
    fill(rollouts)
    found, after = [], ""
    while page := rows.read_after(CAMPAIGN, 0, after=after, limit=30):
        assert len(page) <= 30
        found += page
        after = page[-1].key
    assert [row.key for row in found] == sorted(row.key for row in found)
    assert sorted(row.fields["device"] for row in found) == sorted(DEVICES)
    between = rows.read_between(CAMPAIGN, 0, first=found[3].key, last=found[9].key)
    assert between == found[3:10]
    assert rows.read_after(CAMPAIGN, 1, after="", limit=30) == []


def test_a_copy_survives_the_way_through_a_part(stores: tuple[RolloutStore, RolloutRows]) -> None:
    rollouts, rows = stores
    fill(rollouts)
    copies = rows.read_after(CAMPAIGN, 0, after="", limit=200)
    content = write_lines((row.key, row.etag, row.fields) for row in copies)
    assert read_lines(content) == [(row.key, row.etag, row.fields) for row in copies]
    assert content == write_lines(read_lines(content))
    assert copies[0].fields["sent_at"] == NOON.isoformat()


def test_what_is_deleted_is_gone_and_the_counters_stay(stores: tuple[RolloutStore, RolloutRows]) -> None:
    rollouts, rows = stores
    fill(rollouts)
    copies = rows.read_after(CAMPAIGN, 0, after="", limit=200)
    rows.delete(CAMPAIGN, 0, copies[:50])
    assert rows.read_after(CAMPAIGN, 0, after="", limit=200) == copies[50:]
    assert rollouts.read_counters(CAMPAIGN, 1, 1).of(S.SUCCEEDED) == len(DEVICES)
    rows.delete(CAMPAIGN, 0, [])


def test_a_row_that_changed_or_is_gone_is_not_deleted(stores: tuple[RolloutStore, RolloutRows]) -> None:
    rollouts, rows = stores
    fill(rollouts)
    device = DeviceId("gw-7")
    copies = rows.read_after(CAMPAIGN, 0, after="", limit=200)
    row = rollouts.read_devices(CAMPAIGN, 0, [device])[device]
    rollouts.write(CAMPAIGN, 0, [RolloutChange(before=row, after=replace(row.value, state=S.REGRESSED))])
    with pytest.raises(ConcurrentChange):
        rows.delete(CAMPAIGN, 0, copies)
    assert rollouts.read_devices(CAMPAIGN, 0, [device])[device].value.state is S.REGRESSED
    others = [copy for copy in copies if copy.fields["device"] != device]
    rows.delete(CAMPAIGN, 0, others)
    with pytest.raises(ConcurrentChange):
        rows.delete(CAMPAIGN, 0, others[:3])


def test_a_part_is_written_once_and_never_changed(archive: ArchiveStore) -> None:
    archive.create("spring/1/00-000000.jsonl.gz", b"first")
    with pytest.raises(AlreadyExists):
        archive.create("spring/1/00-000000.jsonl.gz", b"second")
    assert archive.read("spring/1/00-000000.jsonl.gz") == b"first"
    with pytest.raises(NotThere):
        archive.read("spring/1/00-000001.jsonl.gz")
