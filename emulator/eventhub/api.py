"""The event hubs over HTTP, for the functions host: long poll to read, PUT to move the pointer."""

import hmac
from collections.abc import Mapping

from aiohttp import web

from emulator.eventhub.log import EventLog


class EventHubApi:
    """Serves `/eventhubs/{hub}`.

    Args:
        hubs: the event hubs by name.
        key: what callers must send as `Authorization`.
    """

    def __init__(self, hubs: Mapping[str, EventLog], *, key: str) -> None:
        self._hubs = hubs
        self._key = key

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/eventhubs/{hub}", self._describe)
        app.router.add_get("/eventhubs/{hub}/partitions/{partition}/events", self._read)
        app.router.add_put("/eventhubs/{hub}/partitions/{partition}/checkpoint", self._checkpoint)

    async def _describe(self, request: web.Request) -> web.Response:
        hub = self._find(request)
        return web.json_response({"name": hub.name, "partitions": list(range(hub.partition_count)), "next": hub.ends()})

    async def _read(self, request: web.Request) -> web.Response:
        """`?group=&max=&wait=`: a list of events after the group's checkpoint, empty after `wait` s.

        `?from=&max=`: those from a sequence number on that are there now, whatever groups have read.
        """
        hub, partition = self._find(request), self._partition(request)
        query = request.query
        if "from" in query:
            found = hub.read_from(partition, int(query["from"]), most=int(query.get("max", 100)))
            return web.json_response([event.to_wire() for event in found])
        events = await hub.read(
            query.get("group", "$Default"),
            partition,
            most=int(query.get("max", 100)),
            wait_s=float(query.get("wait", 0)),
        )
        return web.json_response([event.to_wire() for event in events])

    async def _checkpoint(self, request: web.Request) -> web.Response:
        """Body `{"group": …, "sequenceNumber": …}`: the last event that is done with."""
        hub, partition = self._find(request), self._partition(request)
        body = await request.json()
        hub.checkpoint(body["group"], partition, int(body["sequenceNumber"]))
        return web.Response(status=204)

    def _find(self, request: web.Request) -> EventLog:
        if not hmac.compare_digest(request.headers.get("Authorization", ""), self._key):
            raise web.HTTPUnauthorized()
        hub = self._hubs.get(request.match_info["hub"])
        if hub is None:
            raise web.HTTPNotFound()
        return hub

    def _partition(self, request: web.Request) -> int:
        text = request.match_info["partition"]
        if not text.isdigit() or int(text) >= self._find(request).partition_count:
            raise web.HTTPNotFound()
        return int(text)
