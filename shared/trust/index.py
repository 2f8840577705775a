"""The index as a TUF repository (TUF specification 1.0.33, consistent snapshots): what to sign next, fed with bytes.

Root delegates to targets, snapshot and timestamp; targets delegates to plain hashed bins. A new state of the index is
a new version of each touched bin, a new snapshot and a new timestamp; only the timestamp takes a name that was in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from shared.domain.errors import TrustError
from shared.domain.ids import PackagePath
from shared.domain.packages import Package
from shared.trust.signers import KeyUnusable

TIMESTAMP_FILE = "timestamp.json"
FIRST_ROOT_FILE = "1.root.json"


class IndexUntrusted(TrustError):
    """The stored index does not hang together; publishing on top of it would lock devices out."""

    code = "index_untrusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiries:
    """How long each role's signature holds.

    A device refuses expired metadata, so the timestamp must outlive a few failed refreshes; the shorter it is, the
    shorter an attacker can keep a device from hearing of newer packages.

    Attributes:
        refresh_every: How often ``refresh_index`` runs.

    Raises:
        ValueError: The timestamp does not hold for three refreshes.
    """

    root: timedelta = timedelta(days=730)
    targets: timedelta = timedelta(days=365)
    bins: timedelta = timedelta(days=90)
    snapshot: timedelta = timedelta(days=30)
    timestamp: timedelta = timedelta(days=4)
    refresh_every: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        if self.timestamp < 3 * self.refresh_every:
            raise ValueError("the timestamp must hold for at least three refreshes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One state of the index, without its bins."""

    root: Metadata[Root]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]

    @property
    def bins(self) -> list[str]:
        """The names of all bins."""
        delegations = self.targets.signed.delegations
        return list(delegations.roles or {}) if delegations else []

    def bin_of(self, path: PackagePath) -> str:
        """The bin that names a package path."""
        delegations = self.targets.signed.delegations
        if delegations is None:
            raise IndexUntrusted("the targets role delegates nothing")
        name, _ = next(iter(delegations.get_roles_for_target(path)))
        return name

    def version_of(self, role: str) -> int:
        """The version of a role that the snapshot names."""
        return self.snapshot.signed.meta[f"{role}.json"].version


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """What a bin says about packages that want into it.

    Attributes:
        missing: Not there yet.
        present: There with the same bytes.
        contradicted: There with other bytes, which nothing may change any more.
    """

    missing: tuple[Package, ...]
    present: tuple[Package, ...]
    contradicted: tuple[Package, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningStep:
    """Which version of a role to sign, by whom, and until when it holds."""

    version: int
    expires: datetime
    signer: Signer


def file_name(role: str, version: int) -> str:
    """The name of a versioned metadata file."""
    return f"{version}.{role}.json"


def read_root(content: bytes, before: Metadata[Root] | None = None) -> Metadata[Root]:
    """A root, signed by itself and, if given, by the one before it.

    Raises:
        IndexUntrusted: It is not.
    """
    root = _parse(content, Root)
    for delegator in (root, *([before] if before else [])):
        _verify(delegator, "root", root)
    return root


def read_timestamp(root: Metadata[Root], content: bytes) -> Metadata[Timestamp]:
    """A timestamp the root believes; it may have expired.

    Raises:
        IndexUntrusted: The root does not believe it.
    """
    return _verify(root, "timestamp", _parse(content, Timestamp))


def read_snapshot(root: Metadata[Root], content: bytes) -> Metadata[Snapshot]:
    """A snapshot the root believes; it may have expired.

    Raises:
        IndexUntrusted: The root does not believe it.
    """
    return _verify(root, "snapshot", _parse(content, Snapshot))


def read_targets(root: Metadata[Root], content: bytes) -> Metadata[Targets]:
    """The top-level targets, if the root believes them; they may have expired.

    Raises:
        IndexUntrusted: The root does not believe them.
    """
    return _verify(root, "targets", _parse(content, Targets))


def read_bin(index: Index, name: str, content: bytes) -> Metadata[Targets]:
    """A bin the targets role believes; it may have expired.

    Raises:
        IndexUntrusted: The targets role does not believe it.
    """
    return _verify(index.targets, name, _parse(content, Targets))


def triage(bin_: Metadata[Targets], packages: Iterable[Package]) -> Triage:
    """Sort packages by what the bin already says about their paths."""
    missing: dict[PackagePath, Package] = {}
    present, contradicted = [], []
    for package in packages:
        target = bin_.signed.targets.get(package.path)
        if target is None:
            missing[package.path] = package
        elif target.hashes.get("sha256") == package.sha256:
            present.append(package)
        else:
            contradicted.append(package)
    return Triage(missing=tuple(missing.values()), present=tuple(present), contradicted=tuple(contradicted))


def next_bin(index: Index, name: str, bin_: Metadata[Targets], added: Iterable[TargetFile], step: SigningStep) -> bytes:
    """A new version of a bin with targets added.

    Raises:
        KeyUnusable: The targets role does not name the signer's key for this bin.
    """
    targets: dict[str, TargetFile] = dict(bin_.signed.targets)
    targets.update({target.path: target for target in added})
    signed = Targets(version=step.version, expires=step.expires, targets=targets)
    return _sign(Metadata(signed), step.signer, name, index.targets)


def next_snapshot(index: Index, bins: Mapping[str, int], step: SigningStep) -> bytes:
    """A new snapshot that names new versions of some bins.

    Raises:
        KeyUnusable: The root does not name the signer's key for the snapshot.
    """
    meta = {**index.snapshot.signed.meta, **{f"{name}.json": MetaFile(version) for name, version in bins.items()}}
    signed = Snapshot(version=step.version, expires=step.expires, meta=meta)
    return _sign(Metadata(signed), step.signer, "snapshot", index.root)


def next_timestamp(index: Index, snapshot: MetaFile, step: SigningStep) -> bytes:
    """A new timestamp over a snapshot.

    Raises:
        KeyUnusable: The root does not name the signer's key for the timestamp.
    """
    signed = Timestamp(version=step.version, expires=step.expires, snapshot_meta=snapshot)
    return _sign(Metadata(signed), step.signer, "timestamp", index.root)


def describe_snapshot(version: int, content: bytes) -> MetaFile:
    """How a timestamp names a snapshot: version, length and SHA-256."""
    return MetaFile.from_data(version, content, ["sha256"])


def read_intent_keys(custom: Mapping[str, Mapping[str, dict[str, object]]] | None) -> list[Key]:
    """The keys that the target ``keys/intents`` names.

    Raises:
        IndexUntrusted: It names none that can be read.
    """
    try:
        return [Key.from_dict(keyid, dict(key)) for keyid, key in (custom or {})["keys"].items()]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise IndexUntrusted("the target keys/intents names no keys") from error


def _parse[T: (Root, Timestamp, Snapshot, Targets)](content: bytes, kind: type[T]) -> Metadata[T]:
    try:
        metadata: Metadata[T] = Metadata.from_bytes(content)
    except RepositoryError as error:
        raise IndexUntrusted(f"a stored {kind.type} file cannot be read") from error
    if not isinstance(metadata.signed, kind):
        raise IndexUntrusted(f"a stored {kind.type} file is of type {metadata.signed.type}")
    return metadata


def _verify[T: (Root, Timestamp, Snapshot, Targets)](
    delegator: Metadata[Root] | Metadata[Targets], role: str, metadata: Metadata[T]
) -> Metadata[T]:
    try:
        delegator.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise IndexUntrusted(f"the stored {role} bears no valid signature") from error
    return metadata


def _sign[T: (Root, Timestamp, Snapshot, Targets)](
    metadata: Metadata[T], signer: Signer, role: str, delegator: Metadata[Root] | Metadata[Targets]
) -> bytes:
    metadata.sign(signer)
    try:
        delegator.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise KeyUnusable(f"the index does not name the key at hand for its role {role}") from error
    return metadata.to_bytes()
