"""Founding the index, and keeping it from expiring."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from tuf.api.exceptions import ExpiredMetadataError
from tuf.api.metadata import Metadata

from cli.keys import init_repository
from shared.adapters.azure_index import AzureIndex
from shared.adapters.file_keys import FileKeyRing, load_key_file
from shared.domain.errors import DomainError
from shared.handlers.index_writing import IndexWriter
from shared.handlers.refresh_index import SHARES, refresh_index
from shared.ports.errors import NotThere
from shared.ports.stored import Stored
from shared.trust.policy import Expiries, TrustPolicy
from shared.trust.publishers import sign_package
from tests.support.deaths import Writes, every_death
from tests.support.memory_packages import MemoryIndex
from tests.support.repository import IndexReader, Repository, new_package

DAY = timedelta(days=1)


@pytest.fixture
def storage(storage_connection: str) -> Iterator[str]:
    yield storage_connection
    with BlobServiceClient.from_connection_string(storage_connection) as service:
        if service.get_container_client("metadata").exists():
            service.delete_container("metadata")


def _expiry(repository: Repository, name: str) -> datetime:
    return Metadata.from_bytes(repository.store.read(name).value).signed.expires


def test_index_left_alone_expires_and_devices_say_so(tmp_path: Path) -> None:
    repository = Repository(now=datetime.now(UTC) - 5 * DAY)
    with pytest.raises(ExpiredMetadataError):
        repository.device(tmp_path).refresh()


def test_refresh_brings_an_expired_index_back(tmp_path: Path) -> None:
    repository = Repository(now=datetime.now(UTC) - 5 * DAY)
    refresh_index(repository.writer(), now=datetime.now(UTC))
    repository.device(tmp_path).refresh()


def test_daily_refresh_signs_the_timestamp_and_nothing_else() -> None:
    repository = Repository()
    files = set(repository.store.files)
    refreshed = refresh_index(repository.writer(), now=repository.now + DAY)
    assert (refreshed.bins, refreshed.snapshot) == (0, False)
    assert set(repository.store.files) == files
    assert _expiry(repository, "timestamp.json") > repository.now + 4 * DAY


def test_year_of_daily_refreshes_never_lets_anything_expire() -> None:
    repository = Repository(bins=8)
    for day in range(1, 366):
        now = repository.now + day * DAY
        refresh_index(repository.writer(), now=now)
        index = repository.writer().open().value
        names = [*(f"{index.version_of(name)}.{name}.json" for name in index.bins), "timestamp.json"]
        names.append(f"{index.timestamp.signed.snapshot_meta.version}.snapshot.json")
        assert min(_expiry(repository, name) for name in names) > now + DAY


def test_bins_made_together_are_renewed_in_shares(tmp_path: Path) -> None:
    repository = Repository(bins=128)
    days = [repository.now + (70 + day) * DAY for day in range(SHARES + 1)]
    renewed = [refresh_index(repository.writer(), now=now).bins for now in days]
    assert renewed == [128 // SHARES] * SHARES + [0]


class WatchedIndex(MemoryIndex):
    """Counts which bins are read, and how many of them while others wait for the lease."""

    def __init__(self, files: MemoryIndex) -> None:
        super().__init__()
        self.files = files.files
        self.bins_read, self.bins_read_in_lease = 0, 0
        self.is_held = False

    def read(self, name: str) -> Stored[bytes]:
        self.bins_read += "bin-" in name
        self.bins_read_in_lease += "bin-" in name and self.is_held
        return super().read(name)

    @contextmanager
    def hold(self) -> Iterator[str]:
        with super().hold() as lease:
            self.is_held = True
            yield lease
            self.is_held = False


def test_publishers_do_not_wait_for_the_reading_of_bins() -> None:
    """The lease lasts 60 s, and a thousand reads may take longer."""
    repository = Repository(bins=128)
    watched = WatchedIndex(repository.store)
    refresh_index(repository.writer(watched), now=repository.now + DAY)
    assert (watched.bins_read, watched.bins_read_in_lease) == (128 // SHARES, 0)


def test_timestamp_is_renewed_though_a_bin_cannot_be_read() -> None:
    repository = Repository(bins=8)
    for name in [name for name in repository.store.files if "bin-" in name]:
        del repository.store.files[name]
    with pytest.raises(NotThere):
        refresh_index(repository.writer(), now=repository.now + DAY)
    assert _expiry(repository, "timestamp.json") > repository.now + 4 * DAY


def test_refresh_may_die_at_any_write(tmp_path: Path) -> None:
    expiries = Expiries(bins=DAY, snapshot=DAY)
    repository = Repository(bins=2, expiries=expiries)
    device = repository.device(tmp_path)

    def refresh(writes: Writes) -> None:
        store = writes.through(repository.store)
        refresh_index(repository.writer(store), now=repository.now + timedelta(hours=20))

    assert len([device.refresh() for _ in every_death(refresh)]) == 10


def test_timestamp_must_outlive_three_refreshes() -> None:
    with pytest.raises(ValueError, match="three refreshes"):
        Expiries(timestamp=2 * DAY)


@pytest.mark.parametrize("bins", [0, 3, 32_768])
def test_number_of_bins_is_a_power_of_two(bins: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        TrustPolicy(bins=bins)


def test_keys_made_at_first_start_found_an_index_that_publishes(storage: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    root = init_repository(directory=keys, storage=storage, bins=4, root_keys=3, threshold=2)
    for path in keys.glob("*.pem"):
        assert path.stat().st_mode & 0o777 == 0o600
    with BlobServiceClient.from_connection_string(storage) as service:
        repository, store = Repository(), AzureIndex(service)
        publisher = load_key_file(keys / "publisher.pem")
        package = replace(new_package(), publisher=sign_package(new_package(), publisher))
        requests = repository.accept(package)
        writer = IndexWriter(store=store, keys=FileKeyRing(keys), expiries=Expiries(), root=root.read_bytes())
        replace(repository.publisher(), writer=writer).publish(requests, now=datetime.now(UTC))
        assert IndexReader(store, root.read_bytes(), tmp_path / "device").finds(package)


def test_making_keys_twice_changes_nothing(storage: str, tmp_path: Path) -> None:
    first = init_repository(directory=tmp_path, storage=storage, bins=2)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert init_repository(directory=tmp_path, storage=storage, bins=2) == first
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_other_keys_for_an_existing_index_are_refused(storage: str, tmp_path: Path) -> None:
    init_repository(directory=tmp_path / "one", storage=storage, bins=2)
    with pytest.raises(DomainError, match="made with other keys"):
        init_repository(directory=tmp_path / "two", storage=storage, bins=2)


def test_command_line_reports_what_is_wrong(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "cli",
        "keys",
        "init",
        "--dir",
        str(tmp_path),
        "--storage",
        "x",
        "--threshold",
        "2",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "threshold" in ran.stderr
