"""A new index: its root of trust, its empty bins, its first snapshot and timestamp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from shared.trust.authorities import Authorities, write_authorities
from shared.trust.index import describe_snapshot, file_name, make_timestamp
from shared.trust.policy import TrustPolicy

FIRST_SNAPSHOT_FILE = file_name("snapshot", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineSigners:
    """Who signs the online roles of a new index."""

    bins: Signer
    snapshot: Signer
    timestamp: Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOwners:
    """Who signs what in a new index.

    Attributes:
        root: All root signers; they need not be reachable again before the root changes.
        authorities: Whose intents and artifacts devices believe.
    """

    root: tuple[Signer, ...]
    targets: Signer
    online: OnlineSigners
    authorities: Authorities


def first_files(owners: IndexOwners, policy: TrustPolicy, *, now: datetime) -> dict[str, bytes]:
    """The files of an empty index by name, all but the timestamp, in the order in which they must be written."""
    now = now.replace(microsecond=0)
    bins = bin_prefixes(policy.bins)
    return {
        file_name("root", 1): _root(owners, policy, now),
        file_name("targets", 1): _targets(owners, policy, bins, now),
        **{file_name(name, 1): _empty_bin(owners, policy, now) for name in bins},
        FIRST_SNAPSHOT_FILE: _snapshot(owners, policy, bins, now),
    }


def first_timestamp(owners: IndexOwners, policy: TrustPolicy, snapshot: bytes, *, now: datetime) -> bytes:
    """The timestamp that makes the index visible, over the first snapshot as it is stored."""
    expires = now.replace(microsecond=0) + policy.expiries.timestamp
    timestamp = make_timestamp(1, expires, describe_snapshot(1, snapshot), issued=now)
    return _signed(Metadata(timestamp), owners.online.timestamp)


def bin_prefixes(count: int) -> dict[str, list[str]]:
    """Bin names to the hash prefixes each one covers; together they cover every hash once."""
    digits = max(1, len(f"{count - 1:x}"))
    per_bin = 16**digits // count
    width = len(f"{count - 1:x}")
    return {
        f"bin-{number:0{width}x}": [
            f"{prefix:0{digits}x}" for prefix in range(number * per_bin, (number + 1) * per_bin)
        ]
        for number in range(count)
    }


def _root(owners: IndexOwners, policy: TrustPolicy, now: datetime) -> bytes:
    holders: dict[str, tuple[Signer, ...]] = {
        "root": owners.root,
        "targets": (owners.targets,),
        "snapshot": (owners.online.snapshot,),
        "timestamp": (owners.online.timestamp,),
    }
    thresholds = {"root": policy.root_threshold}
    root = Root(
        version=1,
        expires=now + policy.expiries.root,
        keys={key.keyid: key for signers in holders.values() for key in _public_keys(signers)},
        roles={
            role: Role([key.keyid for key in _public_keys(signers)], thresholds.get(role, 1))
            for role, signers in holders.items()
        },
        consistent_snapshot=True,
    )
    metadata = Metadata(root)
    for signer in owners.root:
        metadata.sign(signer, append=True)
    metadata.verify_delegate("root", metadata)
    return metadata.to_bytes()


def _public_keys(signers: tuple[Signer, ...]) -> Iterator[Key]:
    return (signer.public_key for signer in signers)


def _targets(owners: IndexOwners, policy: TrustPolicy, bins: Mapping[str, list[str]], now: datetime) -> bytes:
    key = owners.online.bins.public_key
    roles = {
        name: DelegatedRole(name, [key.keyid], 1, terminating=True, path_hash_prefixes=prefixes)
        for name, prefixes in bins.items()
    }
    targets = Targets(
        version=1,
        expires=now + policy.expiries.targets,
        targets=write_authorities(owners.authorities),
        delegations=Delegations({key.keyid: key}, roles),
    )
    return _signed(Metadata(targets), owners.targets)


def _empty_bin(owners: IndexOwners, policy: TrustPolicy, now: datetime) -> bytes:
    return _signed(Metadata(Targets(version=1, expires=now + policy.expiries.bins)), owners.online.bins)


def _snapshot(owners: IndexOwners, policy: TrustPolicy, bins: Mapping[str, list[str]], now: datetime) -> bytes:
    meta = {f"{name}.json": MetaFile(1) for name in ("targets", *bins)}
    snapshot = Snapshot(version=1, expires=now + policy.expiries.snapshot, meta=meta)
    return _signed(Metadata(snapshot), owners.online.snapshot)


def _signed[T: (Targets, Snapshot, Timestamp)](metadata: Metadata[T], signer: Signer) -> bytes:
    metadata.sign(signer)
    return metadata.to_bytes()
