"""The issuer's HTTP API: OpenID Connect discovery, the key set and the token endpoint, with Entra's paths.

Entra takes names and roles from its directory. Here there is none: whoever has the secret says who they want to be, in
the form fields `username` and `roles` (separated by blanks). Without a `username` the token is a program's own.
"""

import hmac
import time
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from emulator.identity import TENANT
from emulator.login.keys import ALGORITHM, SigningKeys

CLIENT_ID = "00000000-0000-0000-0000-0000000000c1"
AUDIENCE = "00000000-0000-0000-0000-0000000000c2"
LIFETIME_S = 3_600
_PEOPLE = uuid.UUID("00000000-0000-0000-0000-0000000000c3")


class LoginApi:
    """One tenant.

    Args:
        secret: what a caller of the token endpoint must know.
        url: where this API is served.
    """

    def __init__(self, keys: SigningKeys, secret: str, *, url: str) -> None:
        self._keys = keys
        self._secret = secret
        self._base = f"{url}/{TENANT}"

    @property
    def issuer(self) -> str:
        return f"{self._base}/v2.0"

    @property
    def jwks_uri(self) -> str:
        return f"{self._base}/discovery/v2.0/keys"

    @property
    def token_url(self) -> str:
        return f"{self._base}/oauth2/v2.0/token"

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(f"/{TENANT}/v2.0/.well-known/openid-configuration", self._discovery)
        app.router.add_get(f"/{TENANT}/discovery/v2.0/keys", self._public_set)
        app.router.add_post(f"/{TENANT}/oauth2/v2.0/token", self._token)
        app.router.add_post(f"/{TENANT}/keys/rotate", self._rotate)

    async def _discovery(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "jwks_uri": self.jwks_uri,
                "token_endpoint": self.token_url,
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "subject_types_supported": ["pairwise"],
                "response_types_supported": ["token"],
                "grant_types_supported": ["client_credentials"],
            }
        )

    async def _public_set(self, _request: web.Request) -> web.Response:
        return web.json_response(self._keys.public_set())

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if not self._knows(form):
            return _refusal(401, "invalid_client", "the client secret is missing or wrong")
        lifetime = form.get("lifetime", str(LIFETIME_S))
        if not lifetime.lstrip("-").isdecimal():
            return _refusal(400, "invalid_request", "lifetime is a whole number of seconds")
        claims = self._claims(form, int(lifetime))
        token = self._keys.sign(claims)
        return web.json_response({"token_type": "Bearer", "expires_in": int(lifetime), "access_token": token})

    async def _rotate(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if not self._knows(form):
            return _refusal(401, "invalid_client", "the client secret is missing or wrong")
        key_id = self._keys.rotate()
        if form.get("keep") == "none":
            self._keys.drop_old()
        return web.json_response({"kid": key_id})

    def _knows(self, form: Mapping[str, str]) -> bool:
        return hmac.compare_digest(form.get("client_secret", "").encode(), self._secret.encode())

    def _claims(self, form: Mapping[str, str], lifetime_s: int) -> dict[str, Any]:
        now, name = int(time.time()), form.get("username", "")
        about = {"name": name, "oid": str(uuid.uuid5(_PEOPLE, name.lower())), "scp": "access"} if name else {}
        return {
            "ver": "2.0",
            "iss": self.issuer,
            "aud": form.get("audience", AUDIENCE),
            "tid": TENANT,
            "azp": CLIENT_ID,
            "oid": CLIENT_ID,
            "roles": form.get("roles", "").split(),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_s,
            **about,
        }


def _refusal(status: int, error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=status)
