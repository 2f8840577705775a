"""The control API of the local cloud: status, faults, throttles, and a bell for blob events."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from emulator.faults import TwinFaults, read_fault

type Status = Callable[[], Awaitable[dict[str, Any]]]
type Change = Callable[[dict[str, Any]], None]


class Bell:
    """A counter that others can wait on."""

    def __init__(self) -> None:
        self.count = 0
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self.count += 1
        self._rung.set()

    async def wait(self, *, after: int, wait_s: float) -> int:
        """The count, as soon as it differs from `after` or `wait_s` seconds have passed.

        Differs rather than exceeds: a listener may have counted before this process started.
        """
        if self.count == after:
            self._rung.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), wait_s)
        return self.count


class ControlApi:
    """Answers tests, the demo and the functions host.

    Args:
        status: what `GET /status` shows.
        faults: the twin faults.
        set_throttle: takes the fields of `POST /throttle`; ValueError for bad ones.
        set_queries: takes the fields of `POST /queries`; likewise.
        set_vault_fault: takes the fields of `POST /vault-faults`; likewise.
        bell: rings for every queued blob event.
        find_device: a device's connection string; KeyError for an unknown one.
    """

    def __init__(
        self,
        *,
        status: Status,
        faults: TwinFaults,
        set_throttle: Change,
        set_queries: Change,
        set_vault_fault: Change,
        bell: Bell,
        find_device: Callable[[str], str],
    ) -> None:
        self._status = status
        self._faults = faults
        self._set_throttle = set_throttle
        self._set_queries = set_queries
        self._set_vault_fault = set_vault_fault
        self._bell = bell
        self._find_device = find_device

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/status", self._show_status)
        app.router.add_post("/faults", self._set_fault)
        app.router.add_delete("/faults", self._clear_faults)
        app.router.add_post("/throttle", self._throttle)
        app.router.add_post("/queries", self._queries)
        app.router.add_post("/vault-faults", self._vault_faults)
        app.router.add_get("/devices/{device_id}/connection-string", self._device)
        app.router.add_get("/signals/blob-events", self._wait_for_bell)

    async def _show_status(self, _request: web.Request) -> web.Response:
        return web.json_response(await self._status())

    async def _set_fault(self, request: web.Request) -> web.Response:
        """Body: `{"kind", "probability"?, "count"?, "holdSeconds"?, "seed"?}`; 400 when malformed."""
        return await _apply(request, lambda fields: self._faults.set(read_fault(fields), seed=fields.get("seed")))

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response(status=204)

    async def _throttle(self, request: web.Request) -> web.Response:
        """Body: `{"state"?: "on" | "off", "tier"?, "units"?, "dailyMessages"?}`; 400 when malformed."""
        return await _apply(request, self._set_throttle)

    async def _queries(self, request: web.Request) -> web.Response:
        """Body: `{"lagSeconds"}`; 400 when malformed."""
        return await _apply(request, self._set_queries)

    async def _vault_faults(self, request: web.Request) -> web.Response:
        """Body: `{"status", "operation"?, "count"?, "retryAfter"?}`, or `{}` to clear; 400 when malformed."""
        return await _apply(request, self._set_vault_fault)

    async def _device(self, request: web.Request) -> web.Response:
        try:
            text = self._find_device(request.match_info["device_id"])
        except KeyError:
            return web.Response(status=404)
        return web.json_response({"connectionString": text})

    async def _wait_for_bell(self, request: web.Request) -> web.Response:
        after, wait_s = int(request.query.get("after", 0)), float(request.query.get("wait", 0))
        return web.json_response({"count": await self._bell.wait(after=after, wait_s=wait_s)})


async def _apply(request: web.Request, change: Change) -> web.Response:
    try:
        fields = await request.json()
        if not isinstance(fields, dict):
            raise TypeError("not a JSON object")
        change(fields)
    except (ValueError, KeyError, TypeError) as error:
        return web.Response(status=400, text=str(error))
    return web.Response(status=204)
