"""The functions host: one app, all its triggers, one HTTP port."""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from emulator.host.admin import AdminApi
from emulator.host.app_index import index_app
from emulator.host.app_settings import connection_string
from emulator.host.blobs import BlobTriggers
from emulator.host.event_grid import EventGridWebhook
from emulator.host.event_hubs import EventHubTrigger
from emulator.host.executions import Executions
from emulator.host.functions import BLOB, EVENT_GRID, EVENT_HUB, HTTP, SERVICE_BUS, TIMER, Function
from emulator.host.host_json import HostOptions, read_host_json
from emulator.host.http_trigger import HttpTriggers
from emulator.host.invoker import Invoker
from emulator.host.keys import FunctionKeys
from emulator.host.service_bus import ServiceBusTrigger
from emulator.host.signals import BlobSignal
from emulator.host.timers import TimerTrigger

log = logging.getLogger("host")
_LARGEST_BODY_BYTES = 210 * 1024 * 1024
_GRACE_S = 10.0
_DEFAULT_BLOB_VISIBILITY_S = 30


class TriggerDiedError(RuntimeError):
    """A trigger's loop ended, which it never does by itself: a bug in this host; its log has the traceback."""


class FunctionsHost:
    """Indexes an app and drives its enabled functions.

    Args:
        app_dir: folder of function_app.py and host.json.
        settings: app settings; also become the environment.
        keys: access keys.
        control_url: the local cloud's control API.

    Raises:
        AppIndexError: the app cannot be indexed.
        SettingMissingError: a trigger's connection does not exist.
    """

    def __init__(self, *, app_dir: Path, settings: Mapping[str, str], keys: FunctionKeys, control_url: str) -> None:
        self._settings = settings
        self._keys = keys
        self._options: HostOptions = read_host_json(app_dir / "host.json")
        self.functions = index_app(app_dir, settings)
        self._invoker = Invoker(timeout_s=self._options.function_timeout_s)
        self._executions = Executions()
        self._signal = BlobSignal(control_url)
        self._service_bus = [self._service_bus_trigger(each) for each in self._of(SERVICE_BUS)]
        self._timers = {each.name.lower(): self._timer_trigger(each) for each in self._of(TIMER)}
        self._loops: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None

    def _of(self, kind: str) -> list[Function]:
        return [each for each in self.functions if each.trigger.kind == kind and not each.disabled]

    def _connection(self, function: Function) -> dict[str, str]:
        return connection_string(function.trigger.text("connection", "AzureWebJobsStorage"), self._settings)

    def _service_bus_trigger(self, function: Function) -> ServiceBusTrigger:
        return ServiceBusTrigger(
            function,
            connection=self._connection(function),
            options=self._options.service_bus,
            invoker=self._invoker,
        )

    def _timer_trigger(self, function: Function) -> TimerTrigger:
        return TimerTrigger(function, invoker=self._invoker, executions=self._executions)

    async def start(self, *, port: int) -> None:
        """Serve HTTP on loopback, then start the other triggers.

        Raises:
            OSError: the port is taken.
        """
        await self._serve(port)
        for trigger in self._service_bus:
            trigger.start()
        for loop in self._background():
            self._loops.append(asyncio.create_task(loop))
        for each in self.functions:
            log.info("%s %s%s", each.trigger.kind, each.name, " (disabled)" if each.disabled else "")
        log.info("host started")

    def _background(self) -> list[Coroutine[Any, Any, None]]:
        loops = [timer.run() for timer in self._timers.values()]
        loops += [self._event_hub_trigger(each).run() for each in self._of(EVENT_HUB)]
        return loops + self._blob_loops()

    def _event_hub_trigger(self, function: Function) -> EventHubTrigger:
        return EventHubTrigger(
            function,
            connection=self._connection(function),
            batch_size=self._options.event_hub_batch_size,
            invoker=self._invoker,
            executions=self._executions,
        )

    def _blob_loops(self) -> list[Coroutine[Any, Any, None]]:
        functions = self._of(BLOB)
        if not functions:
            return []
        triggers = BlobTriggers(
            functions,
            connections={each.name: self._connection(each) for each in functions},
            options=self._options,
            invoker=self._invoker,
            signal=self._signal,
            visibility_s=int(self._settings.get("LOCAL_BLOB_VISIBILITY_S", _DEFAULT_BLOB_VISIBILITY_S)),
            executions=self._executions,
        )
        return [triggers.run()]

    async def _serve(self, port: int) -> None:
        app = web.Application(client_max_size=_LARGEST_BODY_BYTES)
        AdminApi(self.functions, timers=self._timers, keys=self._keys).add_routes(app)
        grid = EventGridWebhook(self._of(EVENT_GRID), keys=self._keys, invoker=self._invoker)
        app.router.add_route("*", "/runtime/webhooks/{name:(?i:eventgrid)}", grid.answer)
        http = HttpTriggers(self._of(HTTP), prefix=self._options.route_prefix, keys=self._keys, invoker=self._invoker)
        app.router.add_route("*", r"/{path:[\s\S]*}", http.answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, shutdown_timeout=_GRACE_S).start()

    async def watch(self) -> None:
        """Wait for ever, or until a trigger's loop ends.

        Raises:
            TriggerDiedError: one did.
        """
        await watch(self._loops)

    async def stop(self) -> None:
        """Take no more work, let what runs finish for a while, then close everything."""
        log.info("host stopping")
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await asyncio.gather(
            self._executions.finish(grace_s=_GRACE_S),
            *(each.stop(grace_s=_GRACE_S) for each in self._service_bus),
            self._stop_serving(),
        )
        await self._signal.close()

    async def _stop_serving(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


async def watch(loops: Collection[asyncio.Task[None]]) -> None:
    """Wait for ever, or until one of the loops ends: a host that went on would look healthy and trigger nothing.

    Raises:
        TriggerDiedError: one did.
    """
    if not loops:
        await asyncio.Event().wait()
    ended, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
    for loop in ended:
        raise TriggerDiedError(f"a trigger ended: {loop.get_coro()}") from loop.exception()
