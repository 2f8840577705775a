"""The vault's REST API over TLS.

A client learns from the first 401 for which resource it needs a token, and checks that the resource is a parent domain
of the vault's host. For a numeric host that is what follows its first dot.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from emulator.identity import ISSUER, TokenIssuer, TokenRefusedError
from emulator.vault import wire
from emulator.vault.errors import VaultError, bad_parameter, disabled, forbidden
from emulator.vault.limits import VaultLimits
from emulator.vault.store import KeyStore, KeyVersion

APP_CLIENT_ID = "00000000-0000-0000-0000-0000000000a1"
OWNER_CLIENT_ID = "00000000-0000-0000-0000-0000000000a2"
APP_RIGHTS = frozenset({"get", "list", "sign", "verify"})
"""Those of the built-in role "Key Vault Crypto User" that an app needs; the owner has all."""

_HOST = "127.0.0.1"
type _Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class VaultServer:
    """One vault.

    Args:
        tls: serves a certificate for 127.0.0.1.
    """

    def __init__(self, store: KeyStore, issuer: TokenIssuer, *, port: int, tls: ssl.SSLContext) -> None:
        self._store = store
        self._issuer = issuer
        self._port = port
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self.limits = VaultLimits()

    @property
    def url(self) -> str:
        return f"https://{_HOST}:{self._port}"

    @property
    def resource(self) -> str:
        """The audience of its tokens."""
        return f"https://{_HOST.partition('.')[2]}:{self._port}"

    async def start(self) -> None:
        """Raises: OSError: the port is taken."""
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, self._port, ssl_context=self._tls).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        routes: list[tuple[str, str, str, Callable[[web.Request], Awaitable[Any]]]] = [
            ("GET", "/keys", "list", self._list_keys),
            ("GET", "/keys/{name}/versions", "list", self._list_versions),
            ("POST", "/keys/{name}/create", "create", self._create),
            ("POST", "/keys/{name}/rotate", "rotate", self._rotate),
            ("PUT", "/keys/{name}", "import", self._import),
            ("DELETE", "/keys/{name}", "delete", self._delete),
            ("GET", "/keys/{name}", "get", self._get),
            ("GET", "/keys/{name}/", "get", self._get),
            ("GET", "/keys/{name}/{version}", "get", self._get),
            ("PATCH", "/keys/{name}/", "update", self._update),
            ("PATCH", "/keys/{name}/{version}", "update", self._update),
            ("POST", "/keys/{name}/{version}/sign", "sign", self._sign),
            ("POST", "/keys/{name}/{version}/verify", "verify", self._verify),
        ]
        for method, path, operation, handler in routes:
            app.router.add_route(method, path, self._allowed(operation, handler))
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except VaultError as error:
            headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
            return web.json_response(error.body(), status=error.status, headers=headers)

    def _allowed(self, operation: str, handler: Callable[[web.Request], Awaitable[Any]]) -> _Handler:
        async def respond(request: web.Request) -> web.StreamResponse:
            client_id = self._client_id(request)
            if client_id is None:
                challenge = f'Bearer authorization="{ISSUER.rstrip("/")}", resource="{self.resource}"'
                body = VaultError(401, "Unauthorized", "a bearer token is missing or not valid").body()
                return web.json_response(body, status=401, headers={"WWW-Authenticate": challenge})
            if client_id != OWNER_CLIENT_ID and operation not in APP_RIGHTS:
                raise forbidden(operation)
            self.limits.take(operation)
            return web.json_response(await handler(request))

        return respond

    def _client_id(self, request: web.Request) -> str | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return str(self._issuer.verify(token, self.resource)["appid"])
        except (TokenRefusedError, KeyError):
            return None

    async def _list_keys(self, _request: web.Request) -> Mapping[str, Any]:
        items = [{"kid": f"{self.url}/keys/{name}"} for name in self._store.names()]
        return {"value": items, "nextLink": None}

    async def _list_versions(self, request: web.Request) -> Mapping[str, Any]:
        versions = self._store.versions(request.match_info["name"])
        return {"value": [wire.write_item(self.url, version) for version in versions], "nextLink": None}

    async def _create(self, request: web.Request) -> Mapping[str, Any]:
        fields = await _body(request)
        if fields.get("kty") not in ("EC", "EC-HSM"):
            raise bad_parameter(f"Property kty has the invalid value {fields.get('kty')!r}; this vault makes EC keys.")
        made = self._store.create(request.match_info["name"], str(fields.get("crv", "P-256")))
        return wire.write_key(self.url, made)

    async def _rotate(self, request: web.Request) -> Mapping[str, Any]:
        newest = self._store.get(request.match_info["name"])
        return wire.write_key(self.url, self._store.create(newest.name, newest.curve))

    async def _import(self, request: web.Request) -> Mapping[str, Any]:
        curve, key = wire.read_private_key((await _body(request)).get("key") or {})
        return wire.write_key(self.url, self._store.add(request.match_info["name"], curve, key))

    async def _delete(self, request: web.Request) -> Mapping[str, Any]:
        return wire.write_key(self.url, self._store.delete(request.match_info["name"]))

    async def _get(self, request: web.Request) -> Mapping[str, Any]:
        return wire.write_key(self.url, self._key(request))

    async def _update(self, request: web.Request) -> Mapping[str, Any]:
        attributes = (await _body(request)).get("attributes") or {}
        match = request.match_info
        after = self._store.update(
            match["name"], match.get("version", ""), enabled=attributes.get("enabled"), expires=attributes.get("exp")
        )
        return wire.write_key(self.url, after)

    async def _sign(self, request: web.Request) -> Mapping[str, Any]:
        key, fields = self._usable(request), await _body(request)
        signature = wire.sign(key, str(fields.get("alg")), wire.decode(fields.get("value", "")))
        self.limits.signatures[key.name] += 1
        return {"kid": wire.key_id(self.url, key), "value": wire.encode(signature)}

    async def _verify(self, request: web.Request) -> Mapping[str, Any]:
        key, fields = self._usable(request), await _body(request)
        digest, signature = wire.decode(fields.get("digest", "")), wire.decode(fields.get("value", ""))
        return {"value": wire.verifies(key, str(fields.get("alg")), digest, signature)}

    def _usable(self, request: web.Request) -> KeyVersion:
        key = self._key(request)
        if not key.enabled:
            raise disabled(key.name)
        return key

    def _key(self, request: web.Request) -> KeyVersion:
        return self._store.get(request.match_info["name"], request.match_info.get("version", ""))


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        document = await request.json()
    except ValueError as error:
        raise bad_parameter("the request has no JSON body") from error
    if not isinstance(document, dict):
        raise bad_parameter("the request body is no JSON object")
    return document
