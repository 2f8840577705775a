"""A new index: its root of trust, its empty bins, its first snapshot and timestamp."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
    TargetFile,
    Targets,
    Timestamp,
)

from shared.domain.packages import INTENT_KEYS_PATH
from shared.trust.index import Expiries, describe_snapshot, file_name
from shared.trust.signers import IndexSigners

FIRST_SNAPSHOT_FILE = file_name("snapshot", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOwners:
    """Who signs what in a new index.

    Attributes:
        root: All root signers; they need not be reachable again before the root changes.
        root_threshold: How many of them a root needs.
        intent_keys: The keys whose intents devices believe.
    """

    root: tuple[Signer, ...]
    root_threshold: int
    targets: Signer
    online: IndexSigners
    intent_keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPlan:
    """The shape of a new index.

    Attributes:
        bins: A power of two, fixed for the life of the index.

    Raises:
        ValueError: The number of bins is no power of two up to 16,384.
    """

    bins: int
    expiries: Expiries = field(default_factory=Expiries)

    def __post_init__(self) -> None:
        if not 1 <= self.bins <= 16_384 or self.bins & (self.bins - 1):
            raise ValueError(f"the number of bins must be a power of two up to 16384, not {self.bins}")


def first_files(owners: IndexOwners, plan: IndexPlan, *, now: datetime) -> dict[str, bytes]:
    """The files of an empty index by name, all but the timestamp, in the order in which they must be written."""
    now = now.replace(microsecond=0)
    bins = bin_prefixes(plan.bins)
    return {
        file_name("root", 1): _root(owners, plan, now),
        file_name("targets", 1): _targets(owners, plan, bins, now),
        **{file_name(name, 1): _empty_bin(owners, plan, now) for name in bins},
        FIRST_SNAPSHOT_FILE: _snapshot(owners, plan, bins, now),
    }


def first_timestamp(owners: IndexOwners, plan: IndexPlan, snapshot: bytes, *, now: datetime) -> bytes:
    """The timestamp that makes the index visible, over the first snapshot as it is stored."""
    expires = now.replace(microsecond=0) + plan.expiries.timestamp
    timestamp = Timestamp(version=1, expires=expires, snapshot_meta=describe_snapshot(1, snapshot))
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


def _root(owners: IndexOwners, plan: IndexPlan, now: datetime) -> bytes:
    holders: dict[str, tuple[Signer, ...]] = {
        "root": owners.root,
        "targets": (owners.targets,),
        "snapshot": (owners.online.snapshot,),
        "timestamp": (owners.online.timestamp,),
    }
    thresholds = {"root": owners.root_threshold}
    root = Root(
        version=1,
        expires=now + plan.expiries.root,
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


def _targets(owners: IndexOwners, plan: IndexPlan, bins: Mapping[str, list[str]], now: datetime) -> bytes:
    key = owners.online.bins.public_key
    roles = {
        name: DelegatedRole(name, [key.keyid], 1, terminating=True, path_hash_prefixes=prefixes)
        for name, prefixes in bins.items()
    }
    targets = Targets(
        version=1,
        expires=now + plan.expiries.targets,
        targets={INTENT_KEYS_PATH: _intent_keys(owners.intent_keys)},
        delegations=Delegations({key.keyid: key}, roles),
    )
    return _signed(Metadata(targets), owners.targets)


def _intent_keys(keys: tuple[Key, ...]) -> TargetFile:
    """A target of no bytes: only what is said about it matters."""
    nothing = {"sha256": hashlib.sha256(b"").hexdigest()}
    custom = {"keys": {key.keyid: key.to_dict() for key in keys}}
    return TargetFile(0, nothing, INTENT_KEYS_PATH, {"custom": custom})


def _empty_bin(owners: IndexOwners, plan: IndexPlan, now: datetime) -> bytes:
    return _signed(Metadata(Targets(version=1, expires=now + plan.expiries.bins)), owners.online.bins)


def _snapshot(owners: IndexOwners, plan: IndexPlan, bins: Mapping[str, list[str]], now: datetime) -> bytes:
    meta = {f"{name}.json": MetaFile(1) for name in ("targets", *bins)}
    snapshot = Snapshot(version=1, expires=now + plan.expiries.snapshot, meta=meta)
    return _signed(Metadata(snapshot), owners.online.snapshot)


def _signed[T: (Targets, Snapshot, Timestamp)](metadata: Metadata[T], signer: Signer) -> bytes:
    metadata.sign(signer)
    return metadata.to_bytes()
