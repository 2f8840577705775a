"""A founded index, publishers over it, and the real TUF client reading it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from shared.domain.ids import package_name
from shared.domain.packages import Package, PackageKind, RegisteredPackage
from shared.domain.versions import Version
from shared.handlers.index_writing import IndexWriter
from shared.handlers.publish_index import IndexPublisher
from shared.handlers.publish_owned import OwnerPublisher
from shared.ports.bus import EventPublisher
from shared.ports.errors import NotThere
from shared.ports.packages import IndexStore, PackageStore
from shared.trust.authorities import Authorities, PublisherRule
from shared.trust.policy import Expiries, TrustPolicy
from shared.wire.messages import IndexRequest
from tests.support.memory_keys import MemoryKeyRing
from tests.support.memory_packages import MemoryEvents, MemoryIndex, MemoryPackages
from tests.support.owners import Owners, new_owners

BASE_URL = "https://updates.example/repository/metadata/"


def new_package(name: str = "gateway-fw", version: str = "1.0.0", sha256: str = "ab" * 32) -> Package:
    """A firmware package."""
    return Package(
        name=package_name(name),
        version=Version(version),
        kind=PackageKind.FIRMWARE,
        length_bytes=4_096,
        sha256=sha256,
        created=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        compatibility={"hardware": ("gateway-2", "gateway-3")},
    )


def request_for(package: Package) -> IndexRequest:
    """The message that asks for its publication."""
    return IndexRequest(name=package.name, version=package.version.text)


@dataclass
class Repository:
    """A founded index in memory, with the stores a publisher needs.

    Attributes:
        paused: The packages whose campaigns were to be paused, each time they were.
        now: Real time, because the TUF client asks the clock of the machine.
    """

    bins: int = 4
    owners: Owners = field(default_factory=new_owners)
    store: MemoryIndex = field(default_factory=MemoryIndex)
    packages: MemoryPackages = field(default_factory=MemoryPackages)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    expiries: Expiries = field(default_factory=Expiries)
    root_threshold: int = 1
    paused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = self.owners.first_root(self.policy, now=self.now)
        targets = self.owners.sign_targets(1, self.policy, now=self.now)
        self.owner_publisher().publish(root=self.root, targets=targets, now=self.now)

    @property
    def policy(self) -> TrustPolicy:
        return TrustPolicy(bins=self.bins, root_threshold=self.root_threshold, expiries=self.expiries)

    @property
    def keys(self) -> MemoryKeyRing:
        return self.owners.online

    def owner_publisher(self, store: IndexStore | None = None) -> OwnerPublisher:
        return OwnerPublisher(writer=self.writer(store), packages=self.packages)

    def accept(self, *packages: Package) -> list[IndexRequest]:
        """Rows as ingestion leaves them, and the requests it sends."""
        for package in packages:
            self.packages.create(RegisteredPackage(package=package, accepted_at=self.now))
        return [request_for(package) for package in packages]

    def writer(self, store: IndexStore | None = None) -> IndexWriter:
        return IndexWriter(
            store=store or self.store,
            keys=self.keys,
            expiries=self.expiries,
            root=self.root,
        )

    def publisher(
        self,
        store: IndexStore | None = None,
        packages: PackageStore | None = None,
        events: EventPublisher | None = None,
    ) -> IndexPublisher:
        return IndexPublisher(
            packages=packages or self.packages,
            writer=self.writer(store),
            events=events or self.events,
            pause_campaigns=lambda row, _now: self.paused.append(row.package.path),
        )

    def device(self, folder: Path) -> IndexReader:
        """A device with the root it was born with and its own cache."""
        return IndexReader(self.store, self.root, folder)


class StoreFetcher(FetcherInterface):
    """Serves a TUF client from an index store; remembers how many bytes it gave."""

    def __init__(self, store: IndexStore) -> None:
        self._store = store
        self.fetched: dict[str, int] = {}

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = unquote(url.removeprefix(BASE_URL))
        try:
            content = self._store.read(name).value
        except NotThere as error:
            raise DownloadHTTPError(f"no {name}", 404) from error
        self.fetched[name] = len(content)
        return iter([content])


class IndexReader:
    """The real TUF client with a cache that survives, as a device has."""

    def __init__(self, store: IndexStore, root: bytes, folder: Path) -> None:
        self._store, self._root, self._folder = store, root, folder
        self.fetcher = StoreFetcher(store)

    def refresh(self) -> Updater:
        """A client that has verified the present state.

        Raises:
            RepositoryError: The state must not be believed.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self.fetcher = StoreFetcher(self._store)
        updater = Updater(str(self._folder), BASE_URL, fetcher=self.fetcher, bootstrap=self._root)
        updater.refresh()
        return updater

    def finds(self, package: Package) -> bool:
        """Whether the present state names the package with these very bytes."""
        target = self.refresh().get_targetinfo(package.path)
        if target is None:
            return False
        assert target.length == package.length_bytes
        return bool(target.hashes["sha256"] == package.sha256)


def unsigned_allowed() -> Authorities:
    """What an index says whose owners do without publishers' signatures."""
    return Authorities(intent_keys=(), publisher_rule=PublisherRule.OPTIONAL)
