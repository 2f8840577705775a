"""A key ring in memory. It passes the same contract suite as those over files and over Key Vault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from securesystemslib.signer import CryptoSigner, Key, Signer

from shared.ports.errors import KeyUnusable
from shared.trust.signers import KeyRole


@dataclass
class MemoryKeyRing:
    """Role to its signers, the newest first."""

    signers: dict[KeyRole, list[Signer]] = field(default_factory=dict)

    def add(self, role: KeyRole) -> Signer:
        """A new key for the role, the newest from now on."""
        signer = CryptoSigner.generate_ecdsa()
        self.signers.setdefault(role, []).insert(0, signer)
        return signer

    def signer(self, role: KeyRole, named: Sequence[Key]) -> Signer:
        for key in named:
            for signer in self.signers.get(role, []):
                if signer.public_key.keyid == key.keyid:
                    return signer
        raise KeyUnusable(f"no {role} key that the index names is here")

    def newest(self, role: KeyRole) -> Signer:
        if not self.signers.get(role):
            raise KeyUnusable(f"there is no {role} key here")
        return self.signers[role][0]

    def public_keys(self, role: KeyRole) -> list[Key]:
        return [signer.public_key for signer in self.signers.get(role, [])]
