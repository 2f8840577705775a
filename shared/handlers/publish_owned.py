"""Publish what the owners signed: a new root, a new targets role, or both.

A root that brings new snapshot or timestamp keys is prepared for: snapshot and timestamp are signed with the old and
the new keys first, so that clients believe the same state before and after they learn of the root. Where an old key
cannot sign any more (stolen, disabled), the root goes first and the index is written anew behind it; for those seconds
clients are told to come again. A death in between is mended by publishing the same files again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tuf.api.metadata import Metadata, Root, Targets

from shared.handlers.index_writing import IndexWriter, check_size
from shared.handlers.rebuild_index import Rebuilt, create_or_same, find_targets, rebuild_index
from shared.ports.errors import KeyUnusable, NotThere
from shared.ports.packages import PackageStore
from shared.trust.authorities import read_authorities
from shared.trust.ceremonies import CeremonyRefused, judge_proposal, keys_of, read_proposal
from shared.trust.index import FIRST_ROOT_FILE, IndexUntrusted, file_name, read_root, read_targets
from shared.trust.signers import KeyRole
from shared.trust.targets_role import bin_keys_of, bin_names

log = logging.getLogger(__name__)

ONLINE = (KeyRole.SNAPSHOT, KeyRole.TIMESTAMP)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerPublisher:
    """What publishing owners' files needs."""

    writer: IndexWriter
    packages: PackageStore

    def publish(self, *, root: bytes | None = None, targets: bytes | None = None, now: datetime) -> Rebuilt | None:
        """Publish the files; what was published before is passed over.

        Returns:
            What was written anew, where the whole index was.

        Raises:
            CeremonyRefused: A file is not the next version, or lacks signatures; nothing was published.
            KeyUnusable: An online key that a file names is not here; nothing was published.
            IndexUntrusted: The store holds other files than these follow from.
            PortError: A store does not answer; publish the same files again.
        """
        current = self.writer.newest_root()
        coming = self._read_root(root, current) if root is not None else current
        role = self._read_targets(targets, current, coming) if targets is not None else None
        self._check_keys(coming, role)
        if self._is_founded() and self._prepare(current, coming, role, now):
            return self._publish_quietly(current, coming, root, targets, now)
        self._check_bins(coming, role)
        if root is not None:
            create_or_same(self.writer, file_name("root", coming.signed.version), root)
        return rebuild_index(self.writer, self.packages, now=now, targets=targets)

    def _publish_quietly(
        self, current: Metadata[Root], coming: Metadata[Root], root: bytes | None, targets: bytes | None, now: datetime
    ) -> Rebuilt | None:
        """Publish where clients of the present root and of the coming one believe all that stands at each moment."""
        rebuilt = self._add_targets(targets, now) if targets is not None else None
        if root is not None and coming is not current:
            self.writer.store.create(file_name("root", coming.signed.version), root)
        return rebuilt

    def _read_root(self, content: bytes, current: Metadata[Root]) -> Metadata[Root]:
        check_size("root", content)
        root = read_proposal(content, Root)
        if root.signed.version == current.signed.version and root.signed_bytes == current.signed_bytes:
            return current
        if root.signed.version != current.signed.version + 1:
            raise CeremonyRefused(
                f"this is root {root.signed.version}, and the index is at root {current.signed.version}; "
                f"a root may not skip a version: propose {current.signed.version + 1}"
            )
        _check_complete(root, [current, root])
        return read_root(content, before=current)

    def _read_targets(self, content: bytes, current: Metadata[Root], coming: Metadata[Root]) -> Metadata[Targets]:
        check_size("targets", content)
        role = read_proposal(content, Targets)
        if not self._lies_there(file_name("targets", role.signed.version), content):
            _check_complete(role, [coming], also=[current])
        return read_targets(coming, content)

    def _lies_there(self, name: str, content: bytes) -> bool:
        """Whether it was published before: its signatures were judged then, by a root that may have changed since."""
        try:
            return self.writer.store.read(name).value == content
        except NotThere:
            return False

    def _check_keys(self, root: Metadata[Root], targets: Metadata[Targets] | None) -> None:
        """Return if all that must be signed next can be: before anything is written."""
        for role in ONLINE:
            self.writer.keys.signer(role, keys_of(root, role))
        if targets is not None:
            self.writer.keys.signer(KeyRole.BINS, bin_keys_of(targets))
            self.writer.keys.signer(KeyRole.INTENTS, read_authorities(targets.signed).intent_keys)

    def _check_bins(self, root: Metadata[Root], targets: Metadata[Targets] | None) -> None:
        """Return if the bins can be signed anew."""
        role = targets if targets is not None else find_targets(self.writer, root)
        self.writer.keys.signer(KeyRole.BINS, bin_keys_of(role))

    def _is_founded(self) -> bool:
        try:
            self.writer.store.read(FIRST_ROOT_FILE)
        except NotThere:
            return False
        return True

    def _prepare(
        self, current: Metadata[Root], coming: Metadata[Root], targets: Metadata[Targets] | None, now: datetime
    ) -> bool:
        """Sign the present state for the coming root too; whether clients of both will believe it.

        Raises:
            CeremonyRefused: The coming root does not believe the present targets role, and no other was given.
        """
        try:
            with self.writer.store.hold() as lease:
                opened = self.writer.open()
                if not _is_believed(opened.value.targets if targets is None else targets, (current, coming)):
                    return _refuse_lone_root(targets)
                if any(keys_of(current, role) != keys_of(coming, role) for role in ONLINE):
                    snapshot = self.writer.write_snapshot(opened.value, {}, now=now, coming=coming)
                    self.writer.make_visible(opened, snapshot, lease=lease, now=now, coming=coming)
        except (KeyUnusable, IndexUntrusted, NotThere) as error:
            log.warning("the index is written anew behind its new root: %s", error)
            return False
        return True

    def _add_targets(self, content: bytes, now: datetime) -> Rebuilt | None:
        """Publish a targets role; every bin is written anew where its key, or the bins themselves, changed."""
        role, opened = read_proposal(content, Targets), self.writer.open()
        known = opened.value.targets
        if role.signed.version <= known.signed.version:
            if role.signed_bytes == known.signed_bytes:
                return None
            raise CeremonyRefused(
                f"this is targets {role.signed.version}, and the index is at {known.signed.version}; "
                f"propose {known.signed.version + 1}"
            )
        if (bin_keys_of(role), bin_names(role)) != (opened.value.bin_keys, opened.value.bins):
            return rebuild_index(self.writer, self.packages, now=now, targets=content)
        with self.writer.store.hold() as lease:
            opened = self.writer.open()
            create_or_same(self.writer, file_name("targets", role.signed.version), content)
            snapshot = self.writer.write_snapshot(opened.value, {"targets": role.signed.version}, now=now)
            self.writer.make_visible(opened, snapshot, lease=lease, now=now)
        return None


def _is_believed(targets: Metadata[Targets], roots: Sequence[Metadata[Root]]) -> bool:
    try:
        for root in roots:
            read_targets(root, targets.to_bytes())
    except IndexUntrusted:
        return False
    return True


def _refuse_lone_root(targets: Metadata[Targets] | None) -> bool:
    if targets is None:
        raise CeremonyRefused(
            "this root names other targets keys than those that signed the present targets role; publish a targets "
            "role signed with the new ones together with it"
        )
    return False


def _check_complete(
    proposal: Metadata[Root] | Metadata[Targets],
    roots: Sequence[Metadata[Root]],
    *,
    also: Sequence[Metadata[Root]] = (),
) -> None:
    """Return if the holders of all these roots have signed; those of ``also`` may have."""
    for standing in judge_proposal(proposal, [*roots, *also])[: len(roots)]:
        if standing.lacking:
            names = ", ".join(key.keyid[:12] for key in standing.missing)
            raise CeremonyRefused(
                f"this {proposal.signed.type} lacks {standing.lacking} of the {standing.threshold} signatures that "
                f"{standing.holders} asks for; any of these can sign: {names}"
            )
