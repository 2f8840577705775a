"""Write the whole index anew from the packages table, believing nothing in the store that an online key signed.

For a new index, for a new bins key, and for the day all online keys were stolen. What goes into the bins are the rows
whose publishers the targets role names. Rows still on their way into the index are taken too: their publisher may have
put them there already, and finds them present.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from shared.domain.ids import PackagePath
from shared.domain.packages import Package, PackageState
from shared.handlers.contention import until_written
from shared.handlers.index_writing import IndexWriter, add_packages, signing_step
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere
from shared.ports.packages import PackageStore
from shared.ports.stored import Stored
from shared.telemetry.threads import TellingThreads
from shared.trust.authorities import read_authorities
from shared.trust.ceremonies import keys_of
from shared.trust.index import (
    TIMESTAMP_FILE,
    IndexUntrusted,
    SigningStep,
    describe_snapshot,
    file_name,
    make_timestamp,
    read_targets,
    sign_as,
)
from shared.trust.publishers import PublisherRefused, check_publisher
from shared.trust.signers import KeyRole
from shared.trust.targets_role import bin_keys_of, bin_names

log = logging.getLogger(__name__)

BINS_AT_ONCE = 16
_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild did.

    Attributes:
        packages: How many packages the index names now.
        left_out: The paths of those whose publisher is not believed.
    """

    packages: int
    left_out: tuple[PackagePath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the new state is made of."""

    root: Metadata[Root]
    targets: Metadata[Targets]
    versions: Mapping[str, int]
    timestamp: Stored[bytes] | None

    def next_of(self, role: str) -> int:
        return self.versions.get(role, 0) + 1


def rebuild_index(
    writer: IndexWriter, packages: PackageStore, *, now: datetime, targets: bytes | None = None
) -> Rebuilt:
    """Write every bin, a snapshot and a timestamp; clients see nothing of it before the timestamp.

    Args:
        targets: A new targets role to publish with it; the newest stored one that the root believes otherwise.

    Raises:
        IndexUntrusted: There is no targets role that the newest root believes.
        PortError: A key is missing, or a store does not answer; nothing is visible, and doing it again is safe.
    """
    return until_written(lambda: _rebuild(writer, packages, targets, now), what="the index")


def find_targets(writer: IndexWriter, root: Metadata[Root]) -> Metadata[Targets]:
    """The newest stored targets role that a root believes.

    Raises:
        IndexUntrusted: There is none.
    """
    for version in range(writer.store.newest_versions().get("targets", 0), 0, -1):
        try:
            return read_targets(root, writer.store.read(file_name("targets", version)).value)
        except (IndexUntrusted, NotThere):
            continue
    raise IndexUntrusted(f"the store holds no targets role that root {root.signed.version} believes")


def _rebuild(writer: IndexWriter, packages: PackageStore, new: bytes | None, now: datetime) -> Rebuilt:
    # The timestamp is read first: whatever anybody publishes from here on makes the replacement fail.
    timestamp = _find_timestamp(writer)
    root = writer.newest_root()
    targets = read_targets(root, new) if new is not None else find_targets(writer, root)
    plan = _Plan(root=root, targets=targets, versions=writer.store.newest_versions(), timestamp=timestamp)
    contents, left_out = _sort_packages(packages, targets)
    bins = _write_bins(writer, plan, contents, now)
    if new is not None:
        create_or_same(writer, file_name("targets", targets.signed.version), new)
    snapshot = _write_snapshot(writer, plan, bins, now)
    _write_timestamp(writer, plan, snapshot, now)
    return Rebuilt(packages=sum(map(len, contents.values())), left_out=tuple(left_out))


def create_or_same(writer: IndexWriter, name: str, content: bytes) -> None:
    """Write a file that owners signed; the very same file may be there already.

    Raises:
        IndexUntrusted: Another one is there.
    """
    try:
        writer.store.create(name, content)
    except AlreadyExists as error:
        if writer.store.read(name).value != content:
            raise IndexUntrusted(
                f"another {name} lies in the store; propose one with the next version, and find out who wrote that one"
            ) from error


def _find_timestamp(writer: IndexWriter) -> Stored[bytes] | None:
    try:
        return writer.store.read(TIMESTAMP_FILE)
    except NotThere:
        return None


def _sort_packages(
    packages: PackageStore, targets: Metadata[Targets]
) -> tuple[dict[str, list[Package]], list[PackagePath]]:
    authorities, delegations = read_authorities(targets.signed), targets.signed.delegations
    contents: dict[str, list[Package]] = defaultdict(list)
    left_out: list[PackagePath] = []
    for package in _published(packages):
        try:
            check_publisher(package, authorities)
        except PublisherRefused as error:
            log.error("%s is left out of the index: %s", package.path, error.message)
            left_out.append(package.path)
            continue
        if delegations is not None:
            name, _ = next(iter(delegations.get_roles_for_target(package.path)))
            contents[name].append(package)
    return contents, left_out


def _published(packages: PackageStore) -> Iterator[Package]:
    continuation = ""
    while True:
        page = packages.list_page(size=_PAGE, continuation=continuation)
        for row in page.items:
            if row.state in (PackageState.ACCEPTED, PackageState.PUBLISHED):
                yield row.package
        if not (continuation := page.continuation):
            return


def _write_bins(
    writer: IndexWriter, plan: _Plan, contents: Mapping[str, list[Package]], now: datetime
) -> dict[str, int]:
    signer = writer.keys.signer(KeyRole.BINS, bin_keys_of(plan.targets))

    def write(name: str) -> tuple[str, int]:
        targets = dict(add_packages(name, Metadata(Targets()), contents.get(name, ())).targets)

        def sign(step: SigningStep) -> bytes:
            signed = Targets(version=step.version, expires=step.expires, targets=targets)
            return sign_as(Metadata(signed), step.signers, name, plan.targets)

        first = signing_step(plan.next_of(name), now + writer.expiries.bins, signer)
        version, _ = writer.create(name, first, sign)
        return name, version

    with TellingThreads(BINS_AT_ONCE, thread_name_prefix="bin") as pool:
        return dict(pool.map(write, bin_names(plan.targets)))


def _write_snapshot(writer: IndexWriter, plan: _Plan, bins: Mapping[str, int], now: datetime) -> MetaFile:
    roles = {"targets": plan.targets.signed.version, **bins}
    meta = {f"{name}.json": MetaFile(version) for name, version in roles.items()}

    def sign(step: SigningStep) -> bytes:
        signed = Snapshot(version=step.version, expires=step.expires, meta=meta)
        return sign_as(Metadata(signed), step.signers, "snapshot", plan.root)

    first = signing_step(plan.next_of("snapshot"), now + writer.expiries.snapshot, _signer(writer, plan, "snapshot"))
    version, content = writer.create("snapshot", first, sign)
    return describe_snapshot(version, content)


def _write_timestamp(writer: IndexWriter, plan: _Plan, snapshot: MetaFile, now: datetime) -> None:
    version = _version_of(plan.timestamp) + 1
    step = signing_step(version, now + writer.expiries.timestamp, _signer(writer, plan, "timestamp"))
    signed = make_timestamp(step.version, step.expires, snapshot, issued=now)
    content = sign_as(Metadata(signed), step.signers, "timestamp", plan.root)
    if plan.timestamp is None:
        try:
            writer.store.create(TIMESTAMP_FILE, content)
        except AlreadyExists as error:
            raise ConcurrentChange("somebody else founded the index meanwhile") from error
        return
    with writer.store.hold() as lease:
        writer.store.replace_timestamp(replace(plan.timestamp, value=content), lease)


def _signer(writer: IndexWriter, plan: _Plan, role: str) -> Signer:
    return writer.keys.signer(KeyRole(role), keys_of(plan.root, role))


def _version_of(timestamp: Stored[bytes] | None) -> int:
    """The version that clients have seen at most: whether its signature still holds does not matter."""
    if timestamp is None:
        return 0
    try:
        return Metadata[Timestamp].from_bytes(timestamp.value).signed.version
    except RepositoryError:
        return 0
