"""The admin API of the host: status, list of functions, running a timer by hand (master key)."""

import asyncio

from aiohttp import web

from emulator.host.functions import Function
from emulator.host.http_trigger import given_key
from emulator.host.keys import AuthLevel, FunctionKeys
from emulator.host.timers import TimerTrigger


class AdminApi:
    """Answers below `/admin`.

    Args:
        functions: all functions of the app, disabled ones included.
        timers: the running timers by lower-case function name.
    """

    def __init__(self, functions: list[Function], *, timers: dict[str, TimerTrigger], keys: FunctionKeys) -> None:
        self._functions = functions
        self._timers = timers
        self._keys = keys
        self._runs: set[asyncio.Task[None]] = set()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/admin/host/ping", self._ping)
        app.router.add_get("/admin/host/status", self._status)
        app.router.add_get("/admin/functions", self._list)
        app.router.add_post("/admin/functions/{name}", self._run)

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _status(self, request: web.Request) -> web.Response:
        self._require_master(request)
        return web.json_response({"id": "local", "state": "Running", "errors": []})

    async def _list(self, request: web.Request) -> web.Response:
        self._require_master(request)
        return web.json_response(
            [{"name": each.name, "isDisabled": each.disabled, "trigger": each.trigger.kind} for each in self._functions]
        )

    async def _run(self, request: web.Request) -> web.Response:
        """Start a timer's function and answer 202 at once, as Azure does."""
        self._require_master(request)
        timer = self._timers.get(request.match_info["name"].lower())
        if timer is None:
            return web.Response(status=404)
        run = asyncio.create_task(timer.fire(past_due=False))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        return web.Response(status=202)

    def _require_master(self, request: web.Request) -> None:
        if not self._keys.admits(AuthLevel.ADMIN, given_key(request)):
            raise web.HTTPUnauthorized()
