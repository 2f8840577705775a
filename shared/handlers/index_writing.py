"""Writing a new state of the index, so that clients see the old one or the new one and nothing between.

Versioned files are created, never replaced. Where a version number is taken, a publisher died there before its
timestamp was written; no client ever saw that file, and the next number is tried. Replacing ``timestamp.json``, which
is conditional on the one that was read, makes the new state visible all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile, Root, TargetFile, Targets

from shared.domain.packages import Package
from shared.ports.errors import AlreadyExists, NotThere
from shared.ports.packages import IndexStore
from shared.ports.stored import Stored
from shared.trust.index import (
    FIRST_ROOT_FILE,
    TIMESTAMP_FILE,
    Expiries,
    Index,
    SigningStep,
    describe_snapshot,
    file_name,
    next_bin,
    next_snapshot,
    next_timestamp,
    read_bin,
    read_root,
    read_snapshot,
    read_targets,
    read_timestamp,
)
from shared.trust.signers import IndexSigners
from shared.wire.targets import write_target_custom

# Each orphan is one dead publisher since the last success; beyond this something else is wrong.
MAX_ORPHANS = 1_000


class TooManyOrphans(RuntimeError):
    """Version after version is taken: somebody else writes into the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexWriter:
    """What a publisher works with."""

    store: IndexStore
    signers: IndexSigners
    expiries: Expiries

    def open(self) -> Stored[Index]:
        """The present state, every signature checked; the etag is the timestamp's.

        Raises:
            NotThere: There is no index.
            IndexUntrusted: What is stored does not hang together.
        """
        timestamp_file = self.store.read(TIMESTAMP_FILE)
        root = self._read_newest_root()
        timestamp = read_timestamp(root, timestamp_file.value)
        snapshot = read_snapshot(root, self._read("snapshot", timestamp.signed.snapshot_meta.version))
        targets = read_targets(root, self._read("targets", snapshot.signed.meta["targets.json"].version))
        index = Index(root=root, timestamp=timestamp, snapshot=snapshot, targets=targets)
        return Stored(value=index, etag=timestamp_file.etag)

    def read_bin(self, index: Index, name: str) -> Metadata[Targets]:
        """A bin as the state names it."""
        return read_bin(index, name, self._read(name, index.version_of(name)))

    def write_bin(
        self, index: Index, name: str, bin_: Metadata[Targets], packages: Iterable[Package], *, now: datetime
    ) -> int:
        """Write a bin's next version with the packages added; the version it got."""
        added = [_target(package) for package in packages]
        step = _step(bin_.signed.version + 1, now + self.expiries.bins, self.signers.bins)
        version, _ = self._create(name, step, lambda step: next_bin(index, name, bin_, added, step))
        return version

    def write_snapshot(self, index: Index, bins: Mapping[str, int], *, now: datetime) -> MetaFile:
        """Write the next snapshot with the new versions of bins; how a timestamp names it."""
        step = _step(index.snapshot.signed.version + 1, now + self.expiries.snapshot, self.signers.snapshot)
        version, content = self._create("snapshot", step, lambda step: next_snapshot(index, bins, step))
        return describe_snapshot(version, content)

    def make_visible(self, index: Stored[Index], snapshot: MetaFile, *, lease: str, now: datetime) -> None:
        """Replace the timestamp: from here on clients see the new state.

        Raises:
            ConcurrentChange: Another publisher was faster; what was written stays unseen.
        """
        version = index.value.timestamp.signed.version + 1
        step = _step(version, now + self.expiries.timestamp, self.signers.timestamp)
        content = next_timestamp(index.value, snapshot, step)
        self.store.replace_timestamp(Stored(value=content, etag=index.etag), lease)

    def _read_newest_root(self) -> Metadata[Root]:
        root = read_root(self.store.read(FIRST_ROOT_FILE).value)
        while True:
            try:
                content = self._read("root", root.signed.version + 1)
            except NotThere:
                return root
            root = read_root(content, before=root)

    def _read(self, role: str, version: int) -> bytes:
        return self.store.read(file_name(role, version)).value

    def _create(self, role: str, step: SigningStep, sign: Callable[[SigningStep], bytes]) -> tuple[int, bytes]:
        for version in range(step.version, step.version + MAX_ORPHANS):
            content = sign(replace(step, version=version))
            try:
                self.store.create(file_name(role, version), content)
            except AlreadyExists:
                continue
            return version, content
        raise TooManyOrphans(f"{MAX_ORPHANS} versions of {role} after {step.version} are taken")


def _step(version: int, expires: datetime, signer: Signer) -> SigningStep:
    # TUF times have whole seconds (specification 1.0.33, section 4.2.1).
    return SigningStep(version=version, expires=expires.replace(microsecond=0), signer=signer)


def _target(package: Package) -> TargetFile:
    custom = {"custom": write_target_custom(package)}
    return TargetFile(package.length_bytes, {"sha256": package.sha256}, package.path, custom)
