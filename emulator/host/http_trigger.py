"""HTTP triggers: a request becomes the worker's `http` value, its answer becomes a response."""

from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from emulator.host.functions import Function
from emulator.host.invoker import Call, Invoker
from emulator.host.keys import AuthLevel, FunctionKeys
from emulator.host.routes import RouteTemplate, matches
from emulator.host.rpc import Message, TypedData

# The server frames its own answers; a function's copy of these would contradict it.
_SERVER_OWNED = frozenset({"content-length", "transfer-encoding", "connection"})


def given_key(request: web.Request) -> str | None:
    """The access key a caller sent: header `x-functions-key`, or query parameter `code`."""
    return request.headers.get("x-functions-key") or request.query.get("code")


class HttpTriggers:
    """Routes requests below the route prefix to functions.

    Args:
        functions: the enabled functions with an HTTP trigger.
        prefix: host.json's routePrefix, possibly empty.
    """

    def __init__(self, functions: list[Function], *, prefix: str, keys: FunctionKeys, invoker: Invoker) -> None:
        self._keys = keys
        self._invoker = invoker
        self._routes: dict[RouteTemplate, list[Function]] = {}
        for function in functions:
            template = f"{prefix}/{function.trigger.text('route', function.name)}"
            self._routes.setdefault(RouteTemplate.parse(template), []).append(function)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Run the function that the path and method select: 404 without one, 401 without a valid key."""
        found = self._find(request)
        if found is None:
            return web.Response(status=404)
        function, parameters = found
        level = AuthLevel(function.trigger.text("authLevel", "function").lower())
        if not self._keys.admits(level, given_key(request)):
            return web.Response(status=401)
        return await self._run(function, request, parameters)

    def _find(self, request: web.Request) -> tuple[Function, dict[str, str]] | None:
        for functions, parameters in matches(self._routes, request.rel_url.raw_path):
            for function in functions:
                if _allows(function, request.method):
                    return function, parameters
        return None

    async def _run(self, function: Function, request: web.Request, parameters: dict[str, str]) -> web.StreamResponse:
        http = Message(
            method=request.method,
            url=str(request.url),
            headers={name.lower(): text for name, text in request.headers.items()},
            params=parameters,
            query=dict(request.query),
            body=TypedData(bytes=await request.read()),
        )
        outcome = await self._invoker.invoke(function, Call(trigger=TypedData(http=http)))
        if not outcome.succeeded:
            return web.Response(status=500)
        return read_response(outcome.returned)


def _allows(function: Function, method: str) -> bool:
    methods = function.trigger.fields.get("methods") or []
    return not methods or method.upper() in {str(each).upper() for each in methods}


def read_response(returned: TypedData | None) -> web.Response:
    """Turn what an HTTP function returned into a response; nothing at all is 204, text is 200."""
    if returned is None or returned.kind is None:
        return web.Response(status=204)
    if returned.kind != "http":
        return web.Response(text=str(returned.content))
    http = returned.content
    headers = CIMultiDict((name, text) for name, text in http.headers.items() if name.lower() not in _SERVER_OWNED)
    response = web.Response(status=int(http.status_code), headers=headers, body=_body_bytes(http.body))
    for cookie in http.cookies or []:
        response.headers.add("Set-Cookie", _cookie_text(cookie))
    return response


def _body_bytes(body: TypedData) -> bytes:
    content = body.content or b""
    return content if isinstance(content, bytes) else str(content).encode()


def _cookie_text(cookie: Any) -> str:
    parts = [f"{cookie.name}={cookie.value}"]
    parts += [f"Domain={cookie.domain.value}"] if cookie.domain else []
    parts += [f"Path={cookie.path.value}"] if cookie.path else []
    parts += [f"Max-Age={int(cookie.max_age.value)}"] if cookie.max_age else []
    parts += ["Secure"] if cookie.secure and cookie.secure.value else []
    parts += ["HttpOnly"] if cookie.http_only and cookie.http_only.value else []
    parts += [f"SameSite={cookie.same_site}"] if cookie.same_site else []
    return "; ".join(parts)
