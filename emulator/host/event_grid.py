"""The Event Grid webhook of the host: `POST /runtime/webhooks/EventGrid?functionName=X`."""

import asyncio
import json
from typing import Any

from aiohttp import web

from emulator.host.functions import Function
from emulator.host.http_trigger import given_key
from emulator.host.invoker import Call, Invoker
from emulator.host.keys import FunctionKeys
from emulator.host.rpc import TypedData


class EventGridWebhook:
    """Runs an Event Grid function once per delivered event."""

    def __init__(self, functions: list[Function], *, keys: FunctionKeys, invoker: Invoker) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._keys = keys
        self._invoker = invoker

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """202 when every event was handled, 500 when one failed, so that Event Grid sends again."""
        if not self._keys.admits_event_grid(given_key(request)):
            return web.Response(status=401)
        function = self._functions.get(request.query.get("functionName", "").lower())
        if function is None:
            return web.Response(status=404, text="cannot find function")
        if request.method == "OPTIONS":
            return _allow_origin(request)
        try:
            events = _read_events(await request.read())
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return await self._dispatch(function, request.headers.get("aeg-event-type", ""), events)

    async def _dispatch(self, function: Function, event_type: str, events: list[dict[str, Any]]) -> web.StreamResponse:
        if event_type == "SubscriptionValidation":
            return web.json_response({"validationResponse": events[0]["data"]["validationCode"]})
        if event_type != "Notification":
            return web.Response(status=400, text=f"unknown aeg-event-type {event_type!r}")
        calls = [Call(trigger=TypedData(json=json.dumps(event))) for event in events]
        outcomes = await asyncio.gather(*(self._invoker.invoke(function, call) for call in calls))
        return web.Response(status=202 if all(outcome.succeeded for outcome in outcomes) else 500)


def _allow_origin(request: web.Request) -> web.Response:
    origin = request.headers.get("WebHook-Request-Origin", "eventgrid.azure.net")
    return web.Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})


def _read_events(body: bytes) -> list[dict[str, Any]]:
    content = json.loads(body)
    events = content if isinstance(content, list) else [content]
    if not events or not all(isinstance(event, dict) for event in events):
        raise ValueError("the body is neither an event nor a list of events")
    return events
