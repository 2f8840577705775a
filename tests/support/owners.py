"""The owners of an index, with their keys at hand: they propose, sign, and publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.metadata import Metadata, Root, Targets

from shared.trust.authorities import Authorities, PublisherRule
from shared.trust.index import add_signature
from shared.trust.policy import TrustPolicy
from shared.trust.roots import RootChanges, propose_first_root, propose_next_root
from shared.trust.signers import KeyRole
from shared.trust.targets_role import propose_targets
from tests.support.memory_keys import MemoryKeyRing


def new_key() -> CryptoSigner:
    return CryptoSigner.generate_ecdsa()


@dataclass
class Owners:
    """Who holds what.

    Attributes:
        online: The service's key ring.
        authorities: Whose intents and artifacts devices believe.
    """

    root: list[Signer] = field(default_factory=lambda: [new_key()])
    targets: list[Signer] = field(default_factory=lambda: [new_key()])
    online: MemoryKeyRing = field(default_factory=MemoryKeyRing)
    authorities: Authorities | None = None

    def __post_init__(self) -> None:
        for role in (KeyRole.BINS, KeyRole.SNAPSHOT, KeyRole.TIMESTAMP, KeyRole.INTENTS, KeyRole.SPECS):
            if not self.online.public_keys(role):
                self.online.add(role)
        if self.authorities is None:
            intents = tuple(self.online.public_keys(KeyRole.INTENTS))
            self.authorities = Authorities(intent_keys=intents, publisher_rule=PublisherRule.OPTIONAL)

    def first_root(self, policy: TrustPolicy, *, now: datetime) -> bytes:
        keys = {
            "root": [signer.public_key for signer in self.root],
            "targets": [signer.public_key for signer in self.targets],
            "snapshot": [self.online.newest(KeyRole.SNAPSHOT).public_key],
            "timestamp": [self.online.newest(KeyRole.TIMESTAMP).public_key],
        }
        return _signed(propose_first_root(keys, policy, now=now), self.root)

    def next_root(
        self, before: bytes, changes: RootChanges, policy: TrustPolicy, *, now: datetime, also: Sequence[Signer] = ()
    ) -> bytes:
        """The next root, signed by all root signers and by ``also``."""
        root = propose_next_root(Metadata[Root].from_bytes(before), changes, policy, now=now)
        return _signed(root, [*self.root, *also])

    def sign_targets(self, version: int, policy: TrustPolicy, *, now: datetime, also: Sequence[Signer] = ()) -> bytes:
        """A targets role that names the newest bins key, signed by all targets signers and by ``also``."""
        assert self.authorities is not None
        bins = [self.online.newest(KeyRole.BINS).public_key]
        return _signed(propose_targets(version, bins, self.authorities, policy, now=now), [*self.targets, *also])

    def trust(self, **changes: object) -> None:
        """Name other authorities from the next targets role on."""
        assert self.authorities is not None
        self.authorities = replace(self.authorities, **changes)  # type: ignore[arg-type]


def new_owners(root_keys: int = 1) -> Owners:
    """Fresh keys for everything."""
    return Owners(root=[new_key() for _ in range(root_keys)])


def _signed(metadata: Metadata[Root] | Metadata[Targets], signers: Sequence[Signer]) -> bytes:
    for signer in signers:
        add_signature(metadata, signer)
    return metadata.to_bytes()
