"""The online keys, wherever they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from securesystemslib.signer import Key, Signer

from shared.trust.signers import KeyRole


class KeyRing(Protocol):
    """The keys the service signs with. A role may have several, so that one can be rotated while another still signs.

    Signers, and every method, may raise:
        KeyUnusable: People must mend it; the message says which key, which role, and what to do.
        Throttled, Unavailable: The key store does not answer now.
    """

    def signer(self, role: KeyRole, named: Sequence[Key]) -> Signer:
        """The signer for the first of these public keys that is here for the role.

        Args:
            named: The keys that the index names for the role, in its order.

        Raises:
            KeyUnusable: None of them is here.
        """

    def newest(self, role: KeyRole) -> Signer:
        """The signer for the role's newest key, whether or not any index names it.

        Raises:
            KeyUnusable: The role has no key here.
        """

    def public_keys(self, role: KeyRole) -> list[Key]:
        """The public parts of all keys of the role that are in force, the newest first; empty where there is none."""
