"""An issuer of tokens for tests: it signs whatever it is told to, with keys it makes itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from shared.trust.tokens import TokenPolicy

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
POLICY = TokenPolicy(issuer="https://login.example/t1/v2.0", audience="api-1", tenant="t1")


class Issuer:
    """Keys by id, the newest last."""

    def __init__(self) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.fetches = 0
        self.is_down = False
        self.roll()

    def roll(self) -> str:
        """A new key, which signs from now on."""
        self.keys[f"key-{len(self.keys) + 1}"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return [*self.keys][-1]

    def jwks(self, _uri: str = "") -> Mapping[str, Any]:
        """The key set as the issuer serves it."""
        self.fetches += 1
        if self.is_down:
            raise OSError("no answer")
        return {
            "keys": [
                {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": key_id, "use": "sig"}
                for key_id, key in self.keys.items()
            ]
        }

    def claims(self, *roles: str, now: datetime = NOW, **changes: Any) -> dict[str, Any]:
        """The claims of an access token for a person; None leaves one out."""
        claims = {
            "aud": POLICY.audience,
            "iss": POLICY.issuer,
            "tid": POLICY.tenant,
            "oid": "0000-ada",
            "name": "Ada",
            "azp": "cli-1",
            "scp": "access",
            "roles": list(roles),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + timedelta(hours=1)).timestamp()),
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *roles: str, key_id: str = "", now: datetime = NOW, **changes: Any) -> str:
        """A token signed with the newest key, or the one of that id."""
        key_id = key_id or [*self.keys][-1]
        return jwt.encode(
            self.claims(*roles, now=now, **changes), self.keys[key_id], algorithm="RS256", headers={"kid": key_id}
        )
