"""Found the index: write its first files where there are none.

A founder that died midway left files under the same keys; they are kept and the rest is written. The timestamp comes
last, so there is no index before there is all of it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from shared.handlers.index_writing import IndexWriter
from shared.ports.errors import AlreadyExists, NotThere
from shared.ports.keys import KeyRing
from shared.ports.packages import IndexStore
from shared.trust.index import FIRST_ROOT_FILE, TIMESTAMP_FILE, Index, IndexUntrusted
from shared.trust.index_birth import FIRST_SNAPSHOT_FILE, IndexOwners, first_files, first_timestamp
from shared.trust.policy import TrustPolicy


def found_index(store: IndexStore, owners: IndexOwners, keys: KeyRing, policy: TrustPolicy, *, now: datetime) -> Index:
    """The index in the store, made if there was none.

    Raises:
        IndexUntrusted: There is one, or part of one, under other keys.
        PortError: It may be half made; founding it again finishes it.
    """
    if not _is_founded(store):
        _write_first_files(store, owners, policy, now)
    root = store.read(FIRST_ROOT_FILE).value
    writer = IndexWriter(store=store, keys=keys, expiries=policy.expiries, root=root)
    index = writer.open().value
    _check_keys(index, owners)
    for name in index.bins:
        writer.read_bin(index, name)
    return index


def _is_founded(store: IndexStore) -> bool:
    try:
        store.read(TIMESTAMP_FILE)
    except NotThere:
        return False
    return True


def _write_first_files(store: IndexStore, owners: IndexOwners, policy: TrustPolicy, now: datetime) -> None:
    for name, content in first_files(owners, policy, now=now).items():
        with suppress(AlreadyExists):
            store.create(name, content)
    snapshot = store.read(FIRST_SNAPSHOT_FILE).value
    with suppress(AlreadyExists):
        store.create(TIMESTAMP_FILE, first_timestamp(owners, policy, snapshot, now=now))


def _check_keys(index: Index, owners: IndexOwners) -> None:
    """Return if the index names the keys at hand; publishing with others would be refused later and elsewhere."""
    roles = index.root.signed.roles
    named = {role: set(roles[role].keyids) for role in ("targets", "snapshot", "timestamp")}
    at_hand = {
        "targets": owners.targets.public_key.keyid,
        "snapshot": owners.online.snapshot.public_key.keyid,
        "timestamp": owners.online.timestamp.public_key.keyid,
    }
    for role, keyid in at_hand.items():
        if keyid not in named[role]:
            raise IndexUntrusted(
                f"the index in this storage was made with another {role} key; use the key folder it was made with, "
                "or empty the container `metadata`"
            )
