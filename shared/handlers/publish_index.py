"""Publish accepted packages: one new state of the index for a batch of requests.

Order of writes: bins, snapshot, timestamp (all in ``index_writing``), then the row of each package, then the events.
Die before the timestamp and nothing has happened; die after it and the redelivered request finds the package in its
bin and sets the row. Listeners get an event at most once: publication depends on no topic being up.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.ids import PackagePath
from shared.domain.packages import Package, PackageState, RegisteredPackage
from shared.handlers.index_writing import IndexWriter, add_packages
from shared.ports.bus import EventPublisher, OutgoingEvent
from shared.ports.errors import ConcurrentChange, NotThere, PortError
from shared.ports.packages import PackageStore
from shared.ports.stored import Stored
from shared.trust.index import Index, triage
from shared.trust.publishers import PublisherRefused, check_publisher
from shared.wire.messages import IndexRequest

log = logging.getLogger(__name__)

PUBLISHED_EVENT = "groundswell.package.published"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPublisher:
    """What publishing needs."""

    packages: PackageStore
    writer: IndexWriter
    events: EventPublisher

    def publish(self, requests: Sequence[IndexRequest], *, now: datetime) -> None:
        """Put the packages the requests name into the index; those already there cost no new state.

        Raises:
            PortError: Nothing is lost; the requests must come again.
            TrustError: The stored index or a key is not what it must be.
        """
        rows = self._accepted_rows(requests)
        if not rows:
            return
        with self.writer.store.hold() as lease:
            refused = self._add([row.value.package for row in rows], lease, now)
        for row in rows:
            self._settle(row, is_refused=row.value.package.path in refused, now=now)
        self._announce([row.value.package for row in rows if row.value.package.path not in refused])

    def _accepted_rows(self, requests: Iterable[IndexRequest]) -> list[Stored[RegisteredPackage]]:
        rows = []
        for name, version in dict.fromkeys((request.name, request.version) for request in requests):
            try:
                row = self.packages.get(name, version)
            except NotThere:
                log.warning("asked to publish %s %s, which was never accepted", name, version)
                continue
            if row.value.state is PackageState.ACCEPTED:
                rows.append(row)
        return rows

    def _add(self, packages: Sequence[Package], lease: str, now: datetime) -> set[PackagePath]:
        """Add what is missing; the paths of packages that must not be added."""
        opened = self.writer.open()
        believed, refused = _sort_by_publisher(packages, opened.value)
        new_versions: dict[str, int] = {}
        for name, wanted in _by_bin(opened.value, believed).items():
            bin_ = self.writer.read_bin(opened.value, name)
            verdict = triage(bin_, wanted)
            refused.update(_contradicting(verdict.contradicted))
            if verdict.missing:
                fuller = add_packages(name, bin_, verdict.missing)
                new_versions[name] = self.writer.write_bin(opened.value, fuller, now=now)
        if new_versions:
            snapshot = self.writer.write_snapshot(opened.value, new_versions, now=now)
            self.writer.make_visible(opened, snapshot, lease=lease, now=now)
        return refused

    def _settle(self, row: Stored[RegisteredPackage], *, is_refused: bool, now: datetime) -> None:
        if is_refused:
            self._save(replace(row, value=replace(row.value, state=PackageState.REFUSED)))
            return
        self._save(replace(row, value=replace(row.value, state=PackageState.PUBLISHED, published_at=now)))

    def _announce(self, packages: Sequence[Package]) -> None:
        """Nothing of ours depends on these events, so a topic that is down must not keep a package from the fleet."""
        if not packages:
            return
        try:
            self.events.publish([_published_event(package) for package in packages])
        except PortError as error:
            log.warning("%d events about published packages are lost: %s", len(packages), error)

    def _save(self, row: Stored[RegisteredPackage]) -> None:
        try:
            self.packages.save(row)
        except ConcurrentChange:
            # A publisher that took over has settled it: an accepted row changes in no other way.
            log.info("%s was settled by another publisher", row.value.package.path)


def _sort_by_publisher(packages: Iterable[Package], index: Index) -> tuple[list[Package], set[PackagePath]]:
    """The packages whose publisher is believed now, and the paths of the others.

    Ingestion asked the same before it wrote their rows: what fails here was written by somebody else, or its publisher
    has been revoked since.
    """
    authorities, believed, refused = index.authorities, [], set[PackagePath]()
    for package in packages:
        try:
            check_publisher(package, authorities)
            believed.append(package)
        except PublisherRefused as error:
            log.error("%s does not enter the index; its row is refused: %s", package.path, error.message)
            refused.add(package.path)
    return believed, refused


def _contradicting(packages: Iterable[Package]) -> Iterator[PackagePath]:
    for package in packages:
        # Only a lost or restored table leads here: the claim in it is what keeps other bytes out of the index.
        log.error("%s is in the index with other bytes; its row is refused", package.path)
        yield package.path


def _by_bin(index: Index, packages: Iterable[Package]) -> dict[str, list[Package]]:
    grouped: dict[str, list[Package]] = defaultdict(list)
    for package in packages:
        grouped[index.bin_of(package.path)].append(package)
    return dict(sorted(grouped.items()))


def _published_event(package: Package) -> OutgoingEvent:
    body = {
        "name": package.name,
        "version": package.version.text,
        "kind": package.kind.value,
        "path": package.path,
        "sha256": package.sha256,
        "length_bytes": package.length_bytes,
    }
    return OutgoingEvent(
        type=PUBLISHED_EVENT,
        subject=f"packages/{package.name}/{package.version}",
        data=json.dumps(body).encode(),
        id=f"published-{package.sha256[:32]}-{package.name}-{package.version}",
    )
