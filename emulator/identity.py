"""The managed identity of an app: the endpoint that App Service gives it, and the tokens it issues.

`azure-identity` finds it by `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` (App Service, "managed identity, REST endpoint
reference", api-version 2019-08-01). A `client_id` asks for another identity than the app's own.
"""

import hmac
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from emulator.private_files import write_private_bytes

TOKEN_PATH = "/msi/token"
TENANT = "00000000-0000-0000-0000-00000000c10d"
ISSUER = f"https://sts.windows.net/{TENANT}/"
LIFETIME_S = 3600
_ALGORITHM = "ES256"


class TokenRefusedError(Exception):
    """A token that was not issued here, has expired, or is for another audience."""


class TokenIssuer:
    """Issues and verifies tokens with a key made at first start.

    Args:
        path: where the key is kept.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            write_private_bytes(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._key = _ec_key(path)

    def issue(self, client_id: str, audience: str, *, lifetime_s: int = LIFETIME_S) -> str:
        """A token for the identity with that client id."""
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": ISSUER,
            "tid": TENANT,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_s,
            "appid": client_id,
            "oid": client_id,
            "sub": client_id,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def verify(self, token: str, audience: str) -> Mapping[str, Any]:
        """The claims of a token.

        Raises:
            TokenRefusedError: it must not be believed.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._key.public_key(), algorithms=[_ALGORITHM], audience=audience, issuer=ISSUER
            )
        except jwt.PyJWTError as error:
            raise TokenRefusedError(str(error)) from error
        return claims


class IdentityApi:
    """Hands out tokens to whoever has the header's secret.

    Args:
        own: client id of the app's own identity.
        others: client ids that may be asked for besides.
    """

    def __init__(self, issuer: TokenIssuer, header: str, *, own: str, others: frozenset[str]) -> None:
        self._issuer = issuer
        self._header = header
        self._own = own
        self._others = others

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(TOKEN_PATH, self._token)

    async def _token(self, request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.headers.get("X-IDENTITY-HEADER", ""), self._header):
            return _refusal(401, "the header X-IDENTITY-HEADER is missing or wrong")
        resource, client_id = request.query.get("resource"), request.query.get("client_id", self._own)
        if not resource:
            return _refusal(400, "name a resource")
        if client_id not in self._others | {self._own}:
            return _refusal(400, f"there is no identity with the client id {client_id}")
        expires = int(time.time()) + LIFETIME_S
        token = self._issuer.issue(client_id, resource)
        return web.json_response(
            {
                "access_token": token,
                "expires_on": str(expires),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": client_id,
            }
        )


def _ec_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds no elliptic-curve key; remove it to have a new one made")
    return key


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
