"""Twins, queries and direct methods."""

from aiohttp import web

from emulator.hub.errors import invalid
from emulator.hub.methods import read_method_call
from emulator.hub.policies import Permission
from emulator.hub.query.pages import MAX_PAGE, run_query
from emulator.hub.rest.wire import Route, answer_json, answer_with_etag, device_id_of, if_match_of, read_object
from emulator.hub.service_api import ServiceApi
from emulator.hub.throttle import Operation
from emulator.hub.twins import read_service_patch
from emulator.hub.views import write_twin


def routes(api: ServiceApi) -> list[Route]:
    """The operations on twins, all with ServiceConnect."""
    handlers = _Twins(api)
    table = [
        ("GET", "/twins/{id}", handlers.get),
        ("PATCH", "/twins/{id}", handlers.patch),
        ("PUT", "/twins/{id}", handlers.replace),
        ("POST", "/twins/{id}/methods", handlers.invoke),
        ("POST", "/devices/query", handlers.query),
    ]
    return [Route(method, path, Permission.SERVICE_CONNECT, handler) for method, path, handler in table]


class _Twins:
    def __init__(self, api: ServiceApi) -> None:
        self._api = api

    async def get(self, request: web.Request) -> web.Response:
        return answer_with_etag(write_twin(self._api.get_twin(device_id_of(request))))

    async def patch(self, request: web.Request) -> web.Response:
        patch = read_service_patch(await read_object(request))
        device = self._api.patch_twin(device_id_of(request), patch, if_match_of(request))
        return answer_with_etag(write_twin(device))

    async def replace(self, request: web.Request) -> web.Response:
        document = read_service_patch(await read_object(request))
        device = self._api.replace_twin(device_id_of(request), document, if_match_of(request))
        return answer_with_etag(write_twin(device))

    async def invoke(self, request: web.Request) -> web.Response:
        call = read_method_call(await read_object(request))
        answer = await self._api.invoke_method(device_id_of(request), call)
        return answer_json({"status": answer.status, "payload": answer.payload})

    async def query(self, request: web.Request) -> web.Response:
        text = (await read_object(request)).get("query")
        if not isinstance(text, str):
            raise invalid("query is missing")
        throttle = self._api.hub.throttle
        throttle.admit(Operation.QUERY)
        page = await run_query(
            self._api.hub.query_view,
            text,
            page_size=_page_size(request),
            continuation=request.headers.get("x-ms-continuation", ""),
        )
        answer = answer_json(page.rows, headers={"x-ms-item-type": page.item_type})
        throttle.meter(answer.content_length or 0)
        if page.continuation:
            answer.headers["x-ms-continuation"] = page.continuation
        return answer


def _page_size(request: web.Request) -> int:
    text = request.headers.get("x-ms-max-item-count", str(MAX_PAGE))
    if not text.isdecimal() or int(text) < 1:
        raise invalid("x-ms-max-item-count is a whole number above 0")
    return int(text)
