"""Many simulated devices in one process, on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import requests

from agent.adapters.clock import SystemClock
from agent.adapters.reference_time import ReferenceTime
from agent.adapters.tuf_index import TufIndex
from agent.fleet.behaviour import OK, Behaviour, BehaviourKind
from agent.fleet.credentials import read_credentials
from agent.fleet.device import SimulatedDevice
from agent.fleet.sources import Fetching, SharedContents, SharedIndex
from agent.fleet.surroundings import Pace, Surroundings
from shared.domain.ids import DeviceId

_TICK_S = 5.0
_HANDSHAKES_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSetup:
    """One device of a fleet.

    Attributes:
        gateway_host: Where to connect instead of the connection string's host; may carry a port.
        properties: What packages are judged against.
        installed: Package name to version in its active slot.
    """

    connection_string: str
    gateway_host: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    behaviour: Behaviour = OK
    installed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a fleet finds the service and what it trusts.

    Attributes:
        service_url: Base URL, such as ``http://127.0.0.1:7071/api``.
        root_json: The root metadata the devices were born with.
        ca_file: PEM file of the authority behind the hub's certificate; None for the system's.
        index_fresh_s: How long the fleet believes what it last read of the index.
    """

    service_url: str
    root_json: bytes
    ca_file: Path | None = None
    index_fresh_s: float = 2.0
    fetching: Fetching = Fetching.EVERY_DEVICE


class SimulatedFleet:
    """``async with`` connects all devices but those that wait for an event, and ends them on leaving."""

    def __init__(
        self,
        devices: Sequence[DeviceSetup],
        environment: Environment,
        *,
        pace: Pace | None = None,
        connect_timeout_s: float = 120.0,
    ) -> None:
        self._setups = {read_credentials(setup.connection_string).device: setup for setup in devices}
        self._environment = environment
        self._pace = pace or Pace()
        self._connect_timeout_s = connect_timeout_s
        self._devices: dict[DeviceId, SimulatedDevice] = {}
        self._occurrences: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stack = contextlib.AsyncExitStack()

    @property
    def states(self) -> dict[DeviceId, str]:
        """Device id to the last state the hub accepted a report of; empty before the first."""
        return {device_id: device.state for device_id, device in self._devices.items()}

    def installed(self, device: DeviceId) -> dict[str, str]:
        """Package name to the version the device really runs."""
        return self._devices[device].installed

    def occur(self, event: str) -> None:
        """Let the devices connect that were offline until this event; on the loop's own thread."""
        self._occurrence(event).set()

    def regress(self, device: DeviceId) -> None:
        """Let a device that ended a rollout go back to its other slot and report what it then runs."""
        self._devices[device].regress()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        surroundings = await self._surroundings()
        for device_id, setup in self._setups.items():
            self._devices[device_id] = SimulatedDevice(
                read_credentials(setup.connection_string, setup.gateway_host),
                surroundings,
                properties=setup.properties,
                installed=setup.installed,
                behaviour=setup.behaviour,
            )
        self._tasks = [asyncio.create_task(device.run()) for device in self._devices.values()]
        self._tasks.append(asyncio.create_task(self._tick()))
        await self._all_connected()

    async def _all_connected(self) -> None:
        expected = [
            device.connected
            for device_id, device in self._devices.items()
            if self._setups[device_id].behaviour.kind is not BehaviourKind.OFFLINE_UNTIL
        ]
        connected = asyncio.create_task(_wait_for_all(expected))
        # A device's task ends by a defect of the simulation only, and that must not look like a slow hub.
        await asyncio.wait(
            (connected, *self._tasks), timeout=self._connect_timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        for task in self._tasks:
            if task.done():
                task.result()
        if not connected.done():
            connected.cancel()
            raise TimeoutError(f"not all devices connected within {self._connect_timeout_s:g} s")

    async def _stop(self) -> None:
        crashed = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()
        for task in crashed:
            task.result()

    async def _surroundings(self) -> Surroundings:
        environment = self._environment
        http = await self._stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)))
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-index-")))
        session = self._stack.enter_context(requests.Session())
        clock = ReferenceTime(SystemClock(), folder / "issued.json")
        index = TufIndex(
            folder=folder,
            base_url=f"{environment.service_url.rstrip('/')}/repository/metadata/",
            root=environment.root_json,
            http=session,
            time=clock,
        )
        return Surroundings(
            tls=_tls(environment.ca_file),
            handshakes=self._stack.enter_context(ThreadPoolExecutor(_HANDSHAKES_AT_ONCE, "handshake")),
            doors=asyncio.Semaphore(_HANDSHAKES_AT_ONCE * 2),
            clock=clock,
            index=SharedIndex(index, fresh_s=environment.index_fresh_s),
            contents=SharedContents(http, environment.service_url, environment.fetching),
            pace=self._pace,
            occurrence=self._occurrence,
        )

    def _occurrence(self, event: str) -> asyncio.Event:
        return self._occurrences.setdefault(event, asyncio.Event())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            for device in self._devices.values():
                device.tick()


async def _wait_for_all(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=ca_file)
    return context
