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
from shared.trust.authorities import Authorities
from shared.trust.index import Index, triage
from shared.trust.publishers import PublisherRefused, check_publisher

log = logging.getLogger(__name__)


@dataclass(slots=True)
class IndexChanges:
    """Sorted by bin; ``refused`` grows as bins are looked into.

    Attributes:
        authorities: Who may publish, as the index says that is about to change.
    """

    authorities: Authorities
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
        entering = [package for package in verdict.missing if self._may_enter(package)]
        after = add_packages(name, bin_, entering)
        gone = {package.path for package in self.removed.get(name, ()) if _holds(bin_, package)}
        if not entering and not gone:
            return None
        left = {path: target for path, target in after.targets.items() if path not in gone}
        return Bin(name=name, version=after.version, targets=left)

    def _may_enter(self, package: Package) -> bool:
        """Whether its publisher is believed, which was asked before its row was written.

        What fails here was written by somebody else, or its publisher has been revoked since. What is in its bin
        already is not asked about: a row must not deny what the index says.
        """
        try:
            check_publisher(package, self.authorities)
        except PublisherRefused as error:
            log.error("%s does not enter the index; its row is refused: %s", package.path, error.message)
            self.refused.add(package.path)
            return False
        return True


def sort_changes(rows: Sequence[RegisteredPackage], index: Index) -> IndexChanges:
    """What the rows ask of the index.

    Raises:
        AuthoritiesUnreadable: The index does not say who may publish.
    """
    changes = IndexChanges(authorities=index.authorities)
    for row in rows:
        wanted = changes.removed if row.is_withdrawn else changes.added
        wanted[index.bin_of(row.package.path)].append(row.package)
    return changes


def _holds(bin_: Metadata[Targets], package: Package) -> bool:
    target = bin_.signed.targets.get(package.path)
    return target is not None and target.hashes.get("sha256") == package.sha256


def _contradicting(packages: Iterable[Package]) -> Iterator[PackagePath]:
    for package in packages:
        # Only a lost or restored table leads here: the claim in it is what keeps other bytes out of the index.
        log.error("%s is in the index with other bytes; its row is refused", package.path)
        yield package.path
