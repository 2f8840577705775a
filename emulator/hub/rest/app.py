"""The aiohttp application: authorisation, versions, error bodies, routes."""

import logging
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Middleware

from emulator.hub.core import Hub
from emulator.hub.errors import Code, HubError, write_error
from emulator.hub.policies import Permission
from emulator.hub.rest import identities, twins
from emulator.hub.rest.wire import Handler, answer_json
from emulator.hub.service_api import ServiceApi

log = logging.getLogger("hub.rest")

API_VERSION = "2021-04-12"
_MAX_BODY_BYTES = 16 * 1024 * 1024
"""A bulk call of 100 full twins is about 4 MiB."""


def make_app(api: ServiceApi) -> web.Application:
    """The REST API of one hub."""
    app = web.Application(middlewares=[_errors(api.hub)], client_max_size=_MAX_BODY_BYTES)
    for route in (*identities.routes(api), *twins.routes(api)):
        app.router.add_route(route.method, route.path, _guarded(api.hub, route.permission, route.handler))
    return app


def _guarded(hub: Hub, permission: Permission, handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        hub.policies.authorize(
            request.headers.get("Authorization", ""), host_names=hub.host_names, needed=permission, now=hub.clock()
        )
        version = request.query.get("api-version", "")
        if version != API_VERSION:
            raise HubError(Code.INVALID_PROTOCOL_VERSION, f"api-version {version!r}; this hub knows {API_VERSION}")
        return await handler(request)

    return guarded


def _errors(hub: Hub) -> Middleware:
    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except HubError as error:
            return _answer(hub, error)
        except web.HTTPException as error:
            return _answer(hub, HubError(_CODES.get(error.status, Code.ARGUMENT_INVALID), error.reason))
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return _answer(hub, HubError(Code.SERVER_ERROR, "the emulator failed; its log says why"))

    return answer_errors


_CODES: Mapping[int, Code] = {
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.MESSAGE_TOO_LARGE,
}


def _answer(hub: Hub, error: HubError) -> web.Response:
    body = write_error(error, hub.clock())
    headers = {"iothub-errorcode": error.code.wire_name}
    retry_after_s = hub.throttle.config.retry_after_s
    if error.code is Code.THROTTLED and retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return answer_json(body, status=error.code.status, headers=headers)
