"""The index as a TUF repository (TUF specification 1.0.33, consistent snapshots): what to sign next, fed with bytes.

Root delegates to targets, snapshot and timestamp; targets delegates to plain hashed bins. A new state of the index is
a new version of each touched bin, a new snapshot and a new timestamp; only the timestamp takes a name that was in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from shared.domain.errors import TrustError
from shared.domain.ids import PackagePath
from shared.domain.packages import Package
from shared.trust.authorities import Authorities, read_authorities
from shared.trust.signers import SignatureUnfit

TIMESTAMP_FILE = "timestamp.json"
FIRST_ROOT_FILE = "1.root.json"
ISSUED = "issued"


class IndexUntrusted(TrustError):
    """The stored index does not hang together; publishing on top of it would lock devices out."""

    code = "index_untrusted"


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

    @property
    def authorities(self) -> Authorities:
        """Whose intents and artifacts devices believe.

        Raises:
            AuthoritiesUnreadable: The targets role does not say, or not so that it can be read.
        """
        return read_authorities(self.targets.signed)

    @property
    def bin_keys(self) -> list[Key]:
        """The keys that sign bins."""
        delegations = self.targets.signed.delegations
        return list(delegations.keys.values()) if delegations else []

    def keys_of(self, role: str) -> list[Key]:
        """The keys that the root names for a top-level role."""
        root = self.root.signed
        return [root.keys[keyid] for keyid in root.roles[role].keyids]

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
    """Which version of a role to sign, by whom, and until when it holds.

    Attributes:
        signers: The first must be one that the index names; others sign for a root that is about to come.
    """

    version: int
    expires: datetime
    signers: tuple[Signer, ...]


def file_name(role: str, version: int) -> str:
    """The name of a versioned metadata file."""
    return f"{version}.{role}.json"


def newest_versions(names: Iterable[str]) -> dict[str, int]:
    """Role to the highest version among names of metadata files; other names are passed over."""
    newest: dict[str, int] = {}
    for name in names:
        version, _, role = name.removesuffix(".json").partition(".")
        if name.endswith(".json") and role and version.isdecimal():
            newest[role] = max(newest.get(role, 0), int(version))
    return newest


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


def next_bin(index: Index, name: str, targets: Mapping[str, TargetFile], step: SigningStep) -> bytes:
    """A new version of a bin with these targets and no others.

    Raises:
        SignatureUnfit: The targets role does not name the signer's key for this bin.
    """
    signed = Targets(version=step.version, expires=step.expires, targets=dict(targets))
    return sign_as(Metadata(signed), step.signers, name, index.targets)


def next_snapshot(index: Index, roles: Mapping[str, int], step: SigningStep) -> bytes:
    """A new snapshot that names new versions of some bins, or of the targets role.

    Raises:
        SignatureUnfit: The root does not name the signer's key for the snapshot.
    """
    meta = {**index.snapshot.signed.meta, **{f"{name}.json": MetaFile(version) for name, version in roles.items()}}
    signed = Snapshot(version=step.version, expires=step.expires, meta=meta)
    return sign_as(Metadata(signed), step.signers, "snapshot", index.root)


def next_timestamp(index: Index, snapshot: MetaFile, step: SigningStep, *, issued: datetime) -> bytes:
    """A new timestamp over a snapshot, which says when it was issued.

    Raises:
        SignatureUnfit: The root does not name the signer's key for the timestamp.
    """
    signed = make_timestamp(step.version, step.expires, snapshot, issued=issued)
    return sign_as(Metadata(signed), step.signers, "timestamp", index.root)


def make_timestamp(version: int, expires: datetime, snapshot: MetaFile, *, issued: datetime) -> Timestamp:
    """A timestamp with the field ``issued``, by which a device whose clock is wrong knows that it is at least so late.

    TUF clients keep fields they do not know under the signature (specification 1.0.33, section 4.1).
    """
    told = {ISSUED: issued.replace(microsecond=0).isoformat()}
    return Timestamp(version=version, expires=expires, snapshot_meta=snapshot, unrecognized_fields=told)


def read_issued(timestamp: Timestamp) -> datetime | None:
    """When a verified timestamp was issued, aware UTC; None where it does not say, or not so that it can be read."""
    try:
        issued = datetime.fromisoformat(timestamp.unrecognized_fields[ISSUED])
    except (KeyError, TypeError, ValueError):
        return None
    return issued if issued.tzinfo is not None else None


def describe_snapshot(version: int, content: bytes) -> MetaFile:
    """How a timestamp names a snapshot: version, length and SHA-256."""
    return MetaFile.from_data(version, content, ["sha256"])


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


def sign_as[T: (Root, Timestamp, Snapshot, Targets)](
    metadata: Metadata[T], signers: Sequence[Signer], role: str, delegator: Metadata[Root] | Metadata[Targets]
) -> bytes:
    """The metadata signed by all of the signers, as bytes.

    Raises:
        SignatureUnfit: The delegator does not believe it for this role.
        Exception: Whatever a signer raises when its key cannot be used.
    """
    for signer in signers:
        add_signature(metadata, signer)
    try:
        delegator.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        raise SignatureUnfit(f"the index does not name the key at hand for its role {role}") from error
    return metadata.to_bytes()


def add_signature(metadata: Metadata[Any], signer: Signer) -> None:
    """Sign the metadata beside whoever signed it before.

    Raises:
        Exception: Whatever the signer raises when its key cannot be used.
    """
    try:
        metadata.sign(signer, append=True)
    except UnsignedMetadataError as error:
        # python-tuf wraps what the signer raised; whether to wait or to call people is told by the cause.
        raise error.__cause__ or error from error
