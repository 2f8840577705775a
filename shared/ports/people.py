"""The keys that people's tokens are signed with."""

from __future__ import annotations

from typing import Protocol

from shared.trust.tokens import TokenKey


class TokenKeys(Protocol):
    """The public keys of the token issuer, which it changes when it likes."""

    def find(self, key_id: str) -> TokenKey | None:
        """The key; None where the issuer has none of that id.

        Raises:
            Unavailable: No keys are known yet, and the issuer does not answer.
        """
