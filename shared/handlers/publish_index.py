"""Publish accepted packages and take out withdrawn ones: one new state of the index for a batch of requests.

Order of writes: bins, snapshot, timestamp (all in ``index_writing``), then the campaigns of withdrawn packages, then
the row of each package, then the events. Die before the timestamp and nothing has happened; die after it and the
redelivered request finds the index as it shall be and goes on from there. Listeners get an event at most once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.ids import PackagePath
from shared.domain.packages import Package, PackageState, RegisteredPackage
from shared.handlers.index_changes import sort_changes
from shared.handlers.index_writing import IndexWriter
from shared.ports.bus import EventPublisher, OutgoingEvent
from shared.ports.errors import ConcurrentChange, NotThere, PortError
from shared.ports.packages import PackageStore
from shared.ports.stored import Stored
from shared.wire.messages import IndexRequest

log = logging.getLogger(__name__)

PUBLISHED_EVENT = "groundswell.package.published"
WITHDRAWN_EVENT = "groundswell.package.withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPublisher:
    """What publishing needs.

    Attributes:
        pause_campaigns: Pauses the campaigns of a withdrawn package; doing it twice must do no more than once.
    """

    packages: PackageStore
    writer: IndexWriter
    events: EventPublisher
    pause_campaigns: Callable[[RegisteredPackage, datetime], object]

    def publish(self, requests: Sequence[IndexRequest], *, now: datetime) -> None:
        """Make the index say what the rows of these packages say; where it does already, no new state is made.

        Raises:
            PortError: Nothing is lost; the requests must come again.
            TrustError: The stored index is not what it must be.
        """
        rows = self._open_rows(requests)
        if not rows:
            return
        with self.writer.store.hold() as lease:
            refused = self._change([row.value for row in rows], lease, now)
        for row in rows:
            self._settle(row, is_refused=row.value.package.path in refused, now=now)
        self._announce([row.value for row in rows if row.value.package.path not in refused])

    def _open_rows(self, requests: Iterable[IndexRequest]) -> list[Stored[RegisteredPackage]]:
        rows = []
        for name, version in dict.fromkeys((request.name, request.version) for request in requests):
            try:
                row = self.packages.get(name, version)
            except NotThere:
                log.warning("asked to publish %s %s, which was never accepted", name, version)
                continue
            if row.value.awaits_index:
                rows.append(row)
        return rows

    def _change(self, rows: Sequence[RegisteredPackage], lease: str, now: datetime) -> set[PackagePath]:
        """Write the new state; the paths of packages that must not enter it."""
        opened = self.writer.open()
        changes = sort_changes(rows, opened.value)
        new_versions: dict[str, int] = {}
        for name in changes.bins:
            after = changes.change(name, self.writer.read_bin(opened.value, name))
            if after is not None:
                new_versions[name] = self.writer.write_bin(opened.value, after, now=now)
        if new_versions:
            snapshot = self.writer.write_snapshot(opened.value, new_versions, now=now)
            self.writer.make_visible(opened, snapshot, lease=lease, now=now)
        return changes.refused

    def _settle(self, row: Stored[RegisteredPackage], *, is_refused: bool, now: datetime) -> None:
        if row.value.is_withdrawn:
            self.pause_campaigns(row.value, now)
            after = replace(row.value, state=PackageState.WITHDRAWN)
        elif is_refused:
            after = replace(row.value, state=PackageState.REFUSED)
        else:
            after = replace(row.value, state=PackageState.PUBLISHED, published_at=now)
        self._save(replace(row, value=after))

    def _announce(self, rows: Sequence[RegisteredPackage]) -> None:
        """Nothing of ours depends on these events, so a topic that is down must not keep a package from the fleet."""
        if not rows:
            return
        try:
            self.events.publish([_event(row) for row in rows])
        except PortError as error:
            log.warning("%d events about packages are lost: %s", len(rows), error)

    def _save(self, row: Stored[RegisteredPackage]) -> None:
        try:
            self.packages.save(row)
        except ConcurrentChange:
            # A publisher that took over has settled it, or somebody withdrew it, which has a request of its own.
            log.info("%s changed meanwhile", row.value.package.path)


def _event(row: RegisteredPackage) -> OutgoingEvent:
    package, kind = row.package, "withdrawn" if row.is_withdrawn else "published"
    return OutgoingEvent(
        type=WITHDRAWN_EVENT if row.is_withdrawn else PUBLISHED_EVENT,
        subject=f"packages/{package.name}/{package.version}",
        data=_describe(package),
        id=f"{kind}-{package.sha256[:32]}-{package.name}-{package.version}",
    )


def _describe(package: Package) -> bytes:
    body = {
        "name": package.name,
        "version": package.version.text,
        "kind": package.kind.value,
        "path": package.path,
        "sha256": package.sha256,
        "length_bytes": package.length_bytes,
    }
    return json.dumps(body).encode()
