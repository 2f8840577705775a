"""The provisioning service as the control API shows and changes it; bodies as in the service's own REST API."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from emulator.provisioning.enrolments import read_enrolment, write_enrolment
from emulator.provisioning.errors import ProvisioningError
from emulator.provisioning.registrations import write_registration
from emulator.provisioning.server import ProvisioningServer

type _Handler = Callable[[web.Request], Awaitable[web.Response]]


class ProvisioningControls:
    """Enrolments, registrations and faults of one service."""

    def __init__(self, server: ProvisioningServer) -> None:
        self._server = server

    def add_routes(self, app: web.Application) -> None:
        for path, of_group in (("enrollmentGroups", True), ("enrollments", False)):
            app.router.add_put(f"/provisioning/{path}/{{name}}", self._put(of_group=of_group))
            app.router.add_get(f"/provisioning/{path}/{{name}}", self._get(of_group=of_group))
            app.router.add_delete(f"/provisioning/{path}/{{name}}", self._delete(of_group=of_group))
        app.router.add_get("/provisioning/registrations/{name}", self._registration)
        app.router.add_post("/provisioning-faults", self._fault)

    def _kept(self, *, of_group: bool) -> dict[str, Any]:
        store = self._server.store
        return store.groups if of_group else store.individuals

    def _put(self, *, of_group: bool) -> _Handler:
        async def put(request: web.Request) -> web.Response:
            """400 when malformed."""
            try:
                enrolment = read_enrolment(request.match_info["name"], await _object(request), of_group=of_group)
            except (ProvisioningError, ValueError, TypeError, AttributeError, KeyError) as error:
                return web.Response(status=400, text=str(error))
            self._server.put(enrolment)
            return web.json_response(write_enrolment(enrolment))

        return put

    def _get(self, *, of_group: bool) -> _Handler:
        async def get(request: web.Request) -> web.Response:
            enrolment = self._kept(of_group=of_group).get(request.match_info["name"])
            return web.Response(status=404) if enrolment is None else web.json_response(write_enrolment(enrolment))

        return get

    def _delete(self, *, of_group: bool) -> _Handler:
        async def delete(request: web.Request) -> web.Response:
            gone = self._kept(of_group=of_group).pop(request.match_info["name"], None)
            return web.Response(status=404 if gone is None else 204)

        return delete

    async def _registration(self, request: web.Request) -> web.Response:
        known = self._server.store.registrations.get(request.match_info["name"])
        return web.Response(status=404) if known is None else web.json_response(write_registration(known))

    async def _fault(self, request: web.Request) -> web.Response:
        """Body: `{"status", "count"?, "retryAfter"?}`, or `{}` to clear; 400 when malformed."""
        try:
            self._server.faults.set(await _object(request))
        except (ValueError, TypeError) as error:
            return web.Response(status=400, text=str(error))
        return web.Response(status=204)


async def _object(request: web.Request) -> dict[str, Any]:
    document = await request.json()
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    return document
