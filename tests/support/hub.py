"""A hub for tests: in a loop of its own on a thread, so that the synchronous SDKs can talk to it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests
from azure.iot.device import IoTHubDeviceClient
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.sastoken import SasToken

from emulator.hub import HubConfig, HubEvent, HubServer
from emulator.hub.rest.app import API_VERSION
from tests.support.waiting import wait_until


class LocalHub:
    """A running hub and its real SDK clients. Ids are shared by the tests of a module: each takes its own devices."""

    def __init__(self, folder: Path, config: HubConfig) -> None:
        self.events: list[HubEvent] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hub", daemon=True)
        self._thread.start()
        self.server = self.call(self._make(folder, config))

    async def _make(self, folder: Path, config: HubConfig) -> HubServer:
        server = HubServer(config=config, state_dir=folder, on_event=self.events.append)
        await server.start()
        return server

    def call[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the hub's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def do[T](self, action: Callable[[], T]) -> T:
        """Run a function in the hub's loop."""

        async def run() -> T:
            return action()

        return self.call(run())

    def close(self) -> None:
        self.call(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def service(self, policy: str = "iothubowner") -> IoTHubRegistryManager:
        """The real service client."""
        return IoTHubRegistryManager.from_connection_string(self.server.connection_string(policy))

    def call_rest(self, method: str, path: str, body: bytes = b"", **headers: str) -> requests.Response:
        """A REST call with a valid token, whatever the SDK would make of it; headers in snake case."""
        host = f"localhost:{self.server.rest_port}"
        key = self.server.hub.policies.keys["iothubowner"]
        sent = {"Authorization": str(SasToken(host, key, "iothubowner"))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(
            method, f"https://{host}{path}", params={"api-version": API_VERSION}, data=body, headers=sent, timeout=30
        )

    def create(self, *device_ids: str) -> None:
        """Register devices with generated keys."""
        service = self.service()
        for device_id in device_ids:
            service.create_device_with_sas(device_id, "", "", "enabled")

    def device(self, device_id: str, **options: Any) -> IoTHubDeviceClient:
        """The real device client of a registered device, not connected yet."""
        connection = self.do(lambda: self.server.device_connection_string(device_id))
        return self.device_for(connection, **options)

    def device_for(self, connection: str, **options: Any) -> IoTHubDeviceClient:
        options = {"server_verification_cert": self.server.ca_path.read_text(), "connection_retry": False} | options
        client = IoTHubDeviceClient.create_from_connection_string(connection, **options)
        # The client calls this from a thread of its own for what is expected here, such as being taken over.
        client.on_background_exception = lambda _: None
        return client

    def events_of(self, device_id: str, op_type: str = "") -> list[HubEvent]:
        """What the hub has said of a device so far."""
        return [
            event
            for event in list(self.events)
            if event.device_id == device_id and op_type in ("", event.application_properties.get("opType"))
        ]

    def wait_for_event(self, device_id: str, op_type: str, *, count: int = 1) -> HubEvent:
        """The ``count``-th event of that kind."""
        wait_until(lambda: len(self.events_of(device_id, op_type)) >= count, what=f"{op_type} of {device_id}")
        return self.events_of(device_id, op_type)[count - 1]


@contextmanager
def local_hub(folder: Path, config: HubConfig | None = None) -> Iterator[LocalHub]:
    """A hub that the SDKs of this process trust while the block lasts."""
    hub = LocalHub(folder, config or HubConfig())
    try:
        with patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": str(hub.server.ca_path)}):
            yield hub
    finally:
        hub.close()


@contextmanager
def connected(client: IoTHubDeviceClient) -> Iterator[IoTHubDeviceClient]:
    """The device client, connected while the block lasts."""
    try:
        client.connect()
        yield client
    finally:
        client.shutdown()
