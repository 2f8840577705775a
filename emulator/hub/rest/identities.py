"""Devices: one by one, listed, in bulk; statistics; the queue of cloud-to-device messages."""

from aiohttp import web

from emulator.hub.bulk import apply_entries, read_entries
from emulator.hub.devices import read_identity
from emulator.hub.errors import invalid
from emulator.hub.policies import Permission
from emulator.hub.rest.wire import (
    Route,
    answer_json,
    answer_with_etag,
    device_id_of,
    if_match_of,
    read_body,
    read_object,
)
from emulator.hub.service_api import ServiceApi
from emulator.hub.views import write_device

_MAX_LISTED = 1000


def routes(api: ServiceApi) -> list[Route]:
    """The operations on identities."""
    handlers = _Identities(api)
    return [
        Route("GET", "/devices", Permission.REGISTRY_READ, handlers.list),
        Route("POST", "/devices", Permission.REGISTRY_WRITE, handlers.bulk),
        Route("GET", "/devices/{id}", Permission.REGISTRY_READ, handlers.get),
        Route("PUT", "/devices/{id}", Permission.REGISTRY_WRITE, handlers.put),
        Route("DELETE", "/devices/{id}", Permission.REGISTRY_WRITE, handlers.delete),
        Route("DELETE", "/devices/{id}/commands", Permission.SERVICE_CONNECT, handlers.purge),
        Route("GET", "/statistics/devices", Permission.REGISTRY_READ, handlers.device_statistics),
        Route("GET", "/statistics/service", Permission.REGISTRY_READ, handlers.service_statistics),
    ]


class _Identities:
    def __init__(self, api: ServiceApi) -> None:
        self._api = api

    async def list(self, request: web.Request) -> web.Response:
        top = request.query.get("top", "")
        count = int(top) if top.isdecimal() and 0 < int(top) <= _MAX_LISTED else _MAX_LISTED
        return answer_json([write_device(device) for device in self._api.list_devices(count)])

    async def get(self, request: web.Request) -> web.Response:
        return answer_with_etag(write_device(self._api.get_device(device_id_of(request))))

    async def put(self, request: web.Request) -> web.Response:
        device_id, document = device_id_of(request), await read_object(request)
        if document.get("deviceId") != device_id:
            raise invalid("the deviceId of the body is not that of the path")
        if "If-Match" not in request.headers:
            return answer_with_etag(write_device(self._api.create_device(device_id, read_identity(document))))
        before = self._api.hub.registry.get(device_id).identity
        identity = read_identity(document, before)
        return answer_with_etag(write_device(self._api.update_device(device_id, identity, if_match_of(request))))

    async def delete(self, request: web.Request) -> web.Response:
        self._api.delete_device(device_id_of(request), if_match_of(request))
        return web.Response(status=204)

    async def bulk(self, request: web.Request) -> web.Response:
        outcome = apply_entries(self._api, read_entries(await read_body(request)))
        return answer_json(outcome, status=200 if outcome["isSuccessful"] else 400)

    async def purge(self, request: web.Request) -> web.Response:
        device_id = device_id_of(request)
        purged = self._api.purge_commands(device_id)
        return answer_json({"deviceId": device_id, "moduleId": None, "totalMessagesPurged": purged})

    async def device_statistics(self, _: web.Request) -> web.Response:
        statistics = self._api.hub.statistics()
        return answer_json(
            {
                "totalDeviceCount": statistics.devices,
                "enabledDeviceCount": statistics.devices - statistics.disabled,
                "disabledDeviceCount": statistics.disabled,
            }
        )

    async def service_statistics(self, _: web.Request) -> web.Response:
        return answer_json({"connectedDeviceCount": self._api.hub.statistics().connected})
