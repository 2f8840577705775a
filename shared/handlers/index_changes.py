"""What a batch of rows asks of the index: packages to add, packages to take out, and those that must not enter."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tuf.api.metadata import Metadata, Targets

from shared.domain.ids import PackagePath
from shared.domain.packages import Package, RegisteredPackage
from shared.handlers.index_writing import Bin, add_packages
from shared.trust.index import Index, triage
from shared.trust.publishers import PublisherRefused, check_publisher

log = logging.getLogger(__name__)


@dataclass(slots=True)
class IndexChanges:
    """Sorted by bin; ``refused`` grows as bins are looked into."""

    added: dict[str, list[Package]] = field(default_factory=lambda: defaultdict(list))
    removed: dict[str, list[Package]] = field(default_factory=lambda: defaultdict(list))
    refused: set[PackagePath] = field(default_factory=set)

    @property
    def bins(self) -> list[str]:
        """The bins that may change."""
        return sorted(self.added.keys() | self.removed.keys())

    def change(self, name: str, bin_: Metadata[Targets]) -> Bin | None:
        """What a bin shall hold next; None where it says so already."""
        verdict = triage(bin_, self.added.get(name, ()))
        self.refused.update(_contradicting(verdict.contradicted))
        after = add_packages(name, bin_, verdict.missing)
        gone = {package.path for package in self.removed.get(name, ()) if _holds(bin_, package)}
        if not verdict.missing and not gone:
            return None
        left = {path: target for path, target in after.targets.items() if path not in gone}
        return Bin(name=name, version=after.version, targets=left)


def sort_changes(rows: Sequence[RegisteredPackage], index: Index) -> IndexChanges:
    """What the rows ask of the index.

    Whether a package's publisher is believed was asked before its row was written: what fails here was written by
    somebody else, or its publisher has been revoked since.
    """
    changes, authorities = IndexChanges(), index.authorities
    for row in rows:
        package = row.package
        if row.is_withdrawn:
            changes.removed[index.bin_of(package.path)].append(package)
            continue
        try:
            check_publisher(package, authorities)
            changes.added[index.bin_of(package.path)].append(package)
        except PublisherRefused as error:
            log.error("%s does not enter the index; its row is refused: %s", package.path, error.message)
            changes.refused.add(package.path)
    return changes


def _holds(bin_: Metadata[Targets], package: Package) -> bool:
    target = bin_.signed.targets.get(package.path)
    return target is not None and target.hashes.get("sha256") == package.sha256


def _contradicting(packages: Iterable[Package]) -> Iterator[PackagePath]:
    for package in packages:
        # Only a lost or restored table leads here: the claim in it is what keeps other bytes out of the index.
        log.error("%s is in the index with other bytes; its row is refused", package.path)
        yield package.path
