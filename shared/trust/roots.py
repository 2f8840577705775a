"""Proposing roots: the first one, and each next one as the last one with changes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Role, Root

from shared.trust.ceremonies import CeremonyRefused
from shared.trust.policy import TrustPolicy

ROLES = ("root", "targets", "snapshot", "timestamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class RootChanges:
    """What shall be different in the next root, by role.

    Attributes:
        removed: Key ids.
    """

    added: Mapping[str, Sequence[Key]] = field(default_factory=dict)
    removed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    thresholds: Mapping[str, int] = field(default_factory=dict)


def propose_first_root(keys: Mapping[str, Sequence[Key]], policy: TrustPolicy, *, now: datetime) -> Metadata[Root]:
    """Root 1, not signed yet.

    Raises:
        CeremonyRefused: A role has no key, or fewer than its threshold.
    """
    root = Root(version=1, consistent_snapshot=True, roles={role: Role([], 1) for role in ROLES})
    thresholds = {"root": policy.root_threshold, "targets": policy.targets_threshold}
    return _apply(root, RootChanges(added=keys, thresholds=thresholds), policy, now)


def propose_next_root(
    before: Metadata[Root], changes: RootChanges, policy: TrustPolicy, *, now: datetime
) -> Metadata[Root]:
    """The root after ``before``, with the changes, not signed yet.

    Raises:
        CeremonyRefused: A removed key is not there, a role is left with fewer keys than its threshold, or there is no
            such role.
    """
    root = copy.deepcopy(before.signed)
    root.version += 1
    return _apply(root, changes, policy, now)


def replace_keys(before: Metadata[Root], role: str, keys: Sequence[Key]) -> RootChanges:
    """The changes that give a role these keys in the place of all it has."""
    _check_role(role)
    kept = {key.keyid for key in keys}
    gone = [keyid for keyid in before.signed.roles[role].keyids if keyid not in kept]
    return RootChanges(added={role: keys}, removed={role: gone})


def revoke_key(before: Metadata[Root], keyid: str) -> RootChanges:
    """The changes that take a key out of every role; the beginning of its id is enough where it is the only such one.

    Raises:
        CeremonyRefused: The root names no such key, or several.
    """
    found = {each for each in before.signed.keys if each.startswith(keyid)}
    if len(found) != 1:
        what = "no key" if not found else f"{len(found)} keys"
        raise CeremonyRefused(
            f"root {before.signed.version} names {what} beginning with {keyid!r}; `keys show` lists all"
        )
    whole = found.pop()
    return RootChanges(removed={role: [whole] for role in ROLES if whole in before.signed.roles[role].keyids})


def weigh_root(after: Metadata[Root], before: Metadata[Root] | None) -> list[str]:
    """In which ways a root is weak, or weaker than the one before it: a sentence each."""
    return [*_weak_alone(after.signed), *(_weaker(after.signed, before.signed) if before else ())]


def _apply(root: Root, changes: RootChanges, policy: TrustPolicy, now: datetime) -> Metadata[Root]:
    root.expires = (now + policy.expiries.root).replace(microsecond=0)
    for role, keys in changes.added.items():
        _check_role(role)
        for key in keys:
            root.add_key(key, role)
    for role, keyids in changes.removed.items():
        for keyid in keyids:
            _remove(root, role, keyid)
    for role, threshold in changes.thresholds.items():
        _check_role(role)
        root.roles[role].threshold = threshold
    for role in ROLES:
        _check_threshold(root, role)
    return Metadata(root)


def _weak_alone(root: Root) -> Iterator[str]:
    holders = root.roles["root"]
    if holders.threshold == 1:
        yield "one root key is enough to change everything"
    elif holders.threshold == len(holders.keyids):
        yield "every root key is needed: when one is lost, the root can never be changed again"
    for keyid in root.keys:
        roles = [role for role in ROLES if keyid in root.roles[role].keyids]
        if len(roles) > 1:
            yield f"the key {keyid[:12]} is in several roles: {', '.join(roles)}"
    if not root.consistent_snapshot:
        yield "without consistent snapshots a client may meet files of two states"


def _weaker(after: Root, before: Root) -> Iterator[str]:
    for role in ROLES:
        if after.roles[role].threshold < before.roles[role].threshold:
            yield f"{role} needs {after.roles[role].threshold} signatures instead of {before.roles[role].threshold}"
    if len(after.roles["root"].keyids) < len(before.roles["root"].keyids):
        yield f"{len(after.roles['root'].keyids)} root keys instead of {len(before.roles['root'].keyids)}"


def _remove(root: Root, role: str, keyid: str) -> None:
    _check_role(role)
    found = [each for each in root.roles[role].keyids if each.startswith(keyid)]
    if len(found) != 1:
        raise CeremonyRefused(f"{role} has no key {keyid[:12]!r} to remove; `keys show` lists those it has")
    root.revoke_key(found[0], role)


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise CeremonyRefused(f"there is no role {role!r} in a root; there are {', '.join(ROLES)}")


def _check_threshold(root: Root, role: str) -> None:
    keys, threshold = len(root.roles[role].keyids), root.roles[role].threshold
    if threshold < 1 or keys < threshold:
        raise CeremonyRefused(
            f"{role} would need {threshold} signatures and have {keys} keys; add keys, or give another threshold"
        )
