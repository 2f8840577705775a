"""Who asks: the person in the bearer token of a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.domain.roles import Caller
from shared.ports.people import TokenKeys
from shared.trust.tokens import TokenPolicy, TokenRefused, read_bearer, read_key_id, verify_token


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDesk:
    """What believing tokens needs."""

    policy: TokenPolicy
    keys: TokenKeys

    def identify(self, authorization: str, *, now: datetime) -> Caller:
        """The caller in the header ``Authorization``.

        Raises:
            TokenRefused: There is no token, or it must not be believed.
            PortError: The issuer's keys cannot be had now.
        """
        token = read_bearer(authorization)
        key = self.keys.find(read_key_id(token))
        if key is None:
            raise TokenRefused("the token is signed with a key that its issuer does not have")
        return verify_token(token, key, self.policy, now=now)
