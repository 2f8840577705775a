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

from shared.domain.errors import DomainError
from shared.domain.packages import Package
from shared.ports.errors import AlreadyExists, NotThere
from shared.ports.keys import KeyRing
from shared.ports.packages import IndexStore
from shared.ports.stored import Stored
from shared.trust.ceremonies import keys_of
from shared.trust.index import (
    TIMESTAMP_FILE,
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
from shared.trust.policy import Expiries
from shared.trust.signers import KeyRole
from shared.wire.targets import write_target_custom

# Each orphan is one dead publisher since the last success; beyond this something else is wrong.
MAX_ORPHANS = 1_000


# What `tuf.ngclient` takes unless it is told otherwise (tuf 7.0.1, UpdaterConfig); other clients follow it.
MAX_BYTES = {"root": 512_000, "timestamp": 16_384, "snapshot": 2_000_000}
MAX_TARGETS_BYTES = 5_000_000


class IndexTooLarge(DomainError):
    """Publishing this would lock devices out."""

    code = "index_too_large"


class TooManyOrphans(RuntimeError):
    """Version after version is taken: somebody else writes into the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """What a bin shall hold next.

    Attributes:
        version: Of the bin as it is now.
        targets: By path.
    """

    name: str
    version: int
    targets: Mapping[str, TargetFile]


def add_packages(name: str, bin_: Metadata[Targets], packages: Iterable[Package]) -> Bin:
    """The bin with packages added."""
    added: dict[str, TargetFile] = {package.path: _target(package) for package in packages}
    return Bin(name=name, version=bin_.signed.version, targets={**bin_.signed.targets, **added})


def _target(package: Package) -> TargetFile:
    custom = {"custom": write_target_custom(package)}
    return TargetFile(package.length_bytes, {"sha256": package.sha256}, package.path, custom)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexWriter:
    """What a publisher works with.

    Attributes:
        root: The root the service was born with, which every later one must follow from. It does not come from the
            store: whoever can write there could otherwise put a whole index of his own in the place of ours.
    """

    store: IndexStore
    keys: KeyRing
    expiries: Expiries
    root: bytes

    def open(self) -> Stored[Index]:
        """The present state, every signature checked; the etag is the timestamp's.

        Raises:
            NotThere: There is no index.
            IndexUntrusted: What is stored does not hang together.
        """
        timestamp_file = self.store.read(TIMESTAMP_FILE)
        root = self.newest_root()
        timestamp = read_timestamp(root, timestamp_file.value)
        snapshot = read_snapshot(root, self._read("snapshot", timestamp.signed.snapshot_meta.version))
        targets = read_targets(root, self._read("targets", snapshot.signed.meta["targets.json"].version))
        index = Index(root=root, timestamp=timestamp, snapshot=snapshot, targets=targets)
        return Stored(value=index, etag=timestamp_file.etag)

    def read_bin(self, index: Index, name: str) -> Metadata[Targets]:
        """A bin as the state names it."""
        return read_bin(index, name, self._read(name, index.version_of(name)))

    def write_bin(self, index: Index, bin_: Bin, *, now: datetime) -> int:
        """Write a bin's next version; the version it got.

        Raises:
            IndexTooLarge: No client would take it.
        """
        signer = self.keys.signer(KeyRole.BINS, index.bin_keys)
        step = signing_step(bin_.version + 1, now + self.expiries.bins, signer)
        version, _ = self.create(bin_.name, step, lambda step: next_bin(index, bin_.name, bin_.targets, step))
        return version

    def write_snapshot(
        self, index: Index, roles: Mapping[str, int], *, now: datetime, coming: Metadata[Root] | None = None
    ) -> MetaFile:
        """Write the next snapshot with the new versions of bins, or of the targets role; how a timestamp names it.

        Args:
            coming: A root that is about to be published: the keys it names sign too, so that clients that know it
                already believe the same state as those that do not.
        """
        signers = self._signers(KeyRole.SNAPSHOT, index, coming)
        step = signing_step(index.snapshot.signed.version + 1, now + self.expiries.snapshot, *signers)
        version, content = self.create("snapshot", step, lambda step: next_snapshot(index, roles, step))
        return describe_snapshot(version, content)

    def make_visible(
        self,
        index: Stored[Index],
        snapshot: MetaFile,
        *,
        lease: str,
        now: datetime,
        coming: Metadata[Root] | None = None,
    ) -> None:
        """Replace the timestamp: from here on clients see the new state.

        Raises:
            ConcurrentChange: Another publisher was faster; what was written stays unseen.
        """
        version = index.value.timestamp.signed.version + 1
        signers = self._signers(KeyRole.TIMESTAMP, index.value, coming)
        step = signing_step(version, now + self.expiries.timestamp, *signers)
        content = next_timestamp(index.value, snapshot, step, issued=now)
        self.store.replace_timestamp(Stored(value=content, etag=index.etag), lease)

    def newest_root(self) -> Metadata[Root]:
        """The newest root that follows from the one the service was born with.

        Raises:
            IndexUntrusted: A stored one does not follow from the one before it.
        """
        root = read_root(self.root)
        while True:
            try:
                content = self._read("root", root.signed.version + 1)
            except NotThere:
                return root
            root = read_root(content, before=root)

    def _signers(self, role: KeyRole, index: Index, coming: Metadata[Root] | None) -> list[Signer]:
        signers = [self.keys.signer(role, index.keys_of(role))]
        if coming is not None and keys_of(coming, role) != index.keys_of(role):
            signers.append(self.keys.signer(role, keys_of(coming, role)))
        return signers

    def _read(self, role: str, version: int) -> bytes:
        return self.store.read(file_name(role, version)).value

    def create(self, role: str, step: SigningStep, sign: Callable[[SigningStep], bytes]) -> tuple[int, bytes]:
        """Write a role's next version, the first that is free; which it is, and its content.

        Raises:
            TooManyOrphans: Version after version is taken.
        """
        for version in range(step.version, step.version + MAX_ORPHANS):
            content = sign(replace(step, version=version))
            check_size(role, content)
            try:
                self.store.create(file_name(role, version), content)
            except AlreadyExists:
                continue
            return version, content
        raise TooManyOrphans(f"{MAX_ORPHANS} versions of {role} after {step.version} are taken")


def signing_step(version: int, expires: datetime, *signers: Signer) -> SigningStep:
    """A step whose end is written as TUF writes times."""
    # TUF times have whole seconds (specification 1.0.33, section 4.2.1).
    return SigningStep(version=version, expires=expires.replace(microsecond=0), signers=signers)


def check_size(role: str, content: bytes) -> None:
    """Return if clients take a file of that size.

    Raises:
        IndexTooLarge: They do not.
    """
    limit = MAX_BYTES.get(role, MAX_TARGETS_BYTES)
    if len(content) > limit:
        raise IndexTooLarge(
            f"the next {role} of the index has {len(content)} bytes, and TUF clients take {limit}; the index needs "
            "more bins, which is a new index"
        )
