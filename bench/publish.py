"""Publishing into an index that is already large, and what a device fetches of it: ``python -m bench.publish``.

The real publisher over Azurite; every package bears its publisher's signature. Figures of one size are medians of
several publishes in one run, and each is also given as a multiple of the smallest index's.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from shared.adapters.azure_index import AzureIndex
from shared.domain.packages import Package, PackageState, RegisteredPackage
from shared.handlers.serve_repository import MetadataFile
from shared.ports.packages import IndexStore
from shared.ports.stored import Stored
from shared.trust.authorities import Publisher, PublisherRule
from shared.trust.publishers import sign_package
from tests.support.azurite import private_azurite
from tests.support.owners import new_key, new_owners
from tests.support.repository import IndexReader, Repository, new_package

BINS = 1_024
SIZES = (100, 1_000, 10_000, 100_000)
ALONE, TOGETHER = 7, 3
BATCH = 100
PUBLISHER = new_key()


@dataclass
class CountingStore:
    """An index store that counts what goes through it."""

    store: AzureIndex
    calls: int = 0
    written_bytes: int = 0
    served: dict[str, bytes] = field(default_factory=dict)

    def read(self, name: str) -> Stored[bytes]:
        self.calls += 1
        stored = self.store.read(name)
        self.served[name] = stored.value
        return stored

    def create(self, name: str, content: bytes) -> None:
        self.calls += 1
        self.written_bytes += len(content)
        self.store.create(name, content)

    def replace_timestamp(self, timestamp: Stored[bytes], lease: str) -> None:
        self.calls += 1
        self.written_bytes += len(timestamp.value)
        self.store.replace_timestamp(timestamp, lease)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one publish cost."""

    seconds: float
    written_bytes: int
    calls: int


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="bench.publish", description=__doc__)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="stop at this many packages")
    sizes = [size for size in SIZES if size <= parser.parse_args().largest]
    packages = list(_packages("fw", max(sizes)))
    print("| packages | publish 1 | bytes | calls | publish 100 | bytes | first contact | gzip | an update | gzip |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    first: Cost | None = None
    for size in sizes:
        with private_azurite() as connection, BlobServiceClient.from_connection_string(connection) as service:
            service.create_container("metadata")
            first = _measure(size, packages[:size], AzureIndex(service), first)
    return 0


def _measure(size: int, packages: Sequence[Package], azure: AzureIndex, first: Cost | None) -> Cost:
    repository, store = _founded(packages, azure), CountingStore(azure)
    alone = _publish(repository, store, f"alone-{size}", 1, ALONE)
    together = _publish(repository, store, f"together-{size}", BATCH, TOGETHER)
    with tempfile.TemporaryDirectory() as folder:
        device = IndexReader(store, repository.root, Path(folder))  # type: ignore[arg-type]
        contact = _fetch(device, store, packages[0])
        _publish(repository, store, f"later-{size}", 1, 1)
        update = _fetch(device, store, packages[1])
    ratio = f" ({alone.seconds / first.seconds:.1f}x)" if first else ""
    print(
        f"| {size:,} | {alone.seconds * 1000:.0f} ms{ratio} | {alone.written_bytes:,} | {alone.calls} "
        f"| {together.seconds * 1000:.0f} ms | {together.written_bytes:,} "
        f"| {contact[0]:,} | {contact[1]:,} | {update[0]:,} | {update[1]:,} |",
        flush=True,
    )
    return first or alone


def _packages(prefix: str, count: int) -> Iterator[Package]:
    for number in range(count):
        digest = hashlib.sha256(f"{prefix}{number}".encode()).hexdigest()
        package = new_package(f"{prefix}-{number % 997}", f"1.{number // 997}.0", digest)
        yield replace(package, publisher=sign_package(package, PUBLISHER))


def _founded(packages: Sequence[Package], azure: AzureIndex) -> Repository:
    """An index over all packages, in storage."""
    owners = new_owners()
    acme = Publisher(name="acme", keys=(PUBLISHER.public_key,))
    owners.trust(publishers=(acme,), publisher_rule=PublisherRule.REQUIRED)
    repository = Repository(bins=BINS, owners=owners)
    for package in packages:
        row = RegisteredPackage(package=package, state=PackageState.PUBLISHED, accepted_at=repository.now)
        repository.packages.create(row)
    targets = owners.sign_targets(1, repository.policy, now=repository.now)
    repository.owner_publisher(azure).publish(root=repository.root, targets=targets, now=repository.now)
    return repository


def _publish(repository: Repository, store: CountingStore, prefix: str, batch: int, times: int) -> Cost:
    seconds, written, calls = [], [], []
    packages = _packages(prefix, batch * times)
    publisher = repository.publisher(store=_as_store(store))
    for _ in range(times):
        requests = repository.accept(*(next(packages) for _ in range(batch)))
        store.calls = store.written_bytes = 0
        began = time.perf_counter()
        publisher.publish(requests, now=repository.now)
        seconds.append(time.perf_counter() - began)
        written.append(store.written_bytes)
        calls.append(store.calls)
    median = statistics.median
    return Cost(seconds=median(seconds), written_bytes=int(median(written)), calls=int(median(calls)))


def _fetch(device: IndexReader, store: CountingStore, package: Package) -> tuple[int, int]:
    """Bytes that a device fetched to find a package, as they are stored and as they are served to who takes gzip."""
    store.served.clear()
    if not device.finds(package):
        raise RuntimeError(f"{package.path} is not in the index")
    files = [MetadataFile(content=store.served[name], etag='""', cache_control="") for name in device.fetcher.fetched]
    return sum(len(file.content) for file in files), sum(len(file.encoded_for("gzip").content) for file in files)


def _as_store(store: CountingStore) -> IndexStore:
    return store  # type: ignore[return-value]


if __name__ == "__main__":
    sys.exit(main())
