"""One hub on its sockets: REST over TLS for services, MQTT over TLS for devices."""

import asyncio
import json
import os
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import cast

from aiohttp import web

from emulator.durable import Entry, Part
from emulator.hub.clock import Clock, utc_now
from emulator.hub.commands import DEFAULT_TTL
from emulator.hub.config import HubConfig
from emulator.hub.core import Hub, HubStatistics
from emulator.hub.device_api import DeviceApi
from emulator.hub.events import EventSink
from emulator.hub.mqtt.connection import MqttConnection
from emulator.hub.mqtt.listener import MqttListener
from emulator.hub.policies import AccessPolicies
from emulator.hub.rest.app import make_app
from emulator.hub.service_api import ServiceApi
from emulator.hub.snapshot import mark_device, read_devices, write_device
from emulator.hub.throttle import Throttle
from emulator.pki import open_authority

MQTT_PORT = 8883
"""Hard-coded in the device SDK."""
_KEYS_FILE = "policies.json"
_SHUTDOWN_S = 0.5
_BACKLOG = 512


class HubServer:
    """An IoT Hub. All of it lives in the running loop; nothing in it blocks.

    Args:
        state_dir: holds the local CA and the keys of the access policies, made at first start; devices are in memory.
        host: a loopback address.
        rest_port: 0 for a free one.
        on_event: called in the loop for every event, in order; must neither block nor raise.
    """

    def __init__(
        self,
        *,
        config: HubConfig,
        state_dir: Path,
        host: str = "127.0.0.1",
        rest_port: int = 0,
        mqtt_port: int = MQTT_PORT,
        on_event: EventSink | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._host = host
        self.rest_port = rest_port
        self.mqtt_host, self.mqtt_port = host, mqtt_port
        self._authority = open_authority(state_dir)
        self.hub = Hub(config, policies=_open_policies(state_dir), sink=on_event, clock=clock)
        self.service = ServiceApi(self.hub)
        devices = DeviceApi(self.hub)
        self._mqtt = MqttListener(lambda: MqttConnection(devices), self._device_context_for)
        self._believed: list[str] = []
        self._device_tls: ssl.SSLContext | None = None
        self._rest = web.AppRunner(make_app(self.service), access_log=None, shutdown_timeout=_SHUTDOWN_S)
        self._listener: asyncio.Server | None = None

    @property
    def part(self) -> Part:
        """What it knows of its devices; to be restored before it is started."""
        return Part(
            name="devices",
            held=lambda: (
                Entry(key=device.device_id, mark=mark_device(device), write=partial(write_device, device))
                for device in self.hub.registry
            ),
            restore=lambda documents: self.hub.registry.restore(read_devices(documents.values())),
        )

    async def start(self) -> None:
        """Listen. Afterwards ``rest_port`` and ``mqtt_host`` say where.

        Raises:
            OSError: A port is taken.
        """
        self.hub.query_view.set_lag(self.hub.config.query_lag_s)
        self.mqtt_host, self.mqtt_port = await self._mqtt.start(self._host, self.mqtt_port)
        self.hub.host_names |= {self._host, self.mqtt_host}
        await self._rest.setup()
        self._listener = await asyncio.get_running_loop().create_server(
            cast(Callable[[], asyncio.Protocol], self._rest.server),
            self._host,
            self.rest_port,
            ssl=self._context_for(self._host),
            backlog=_BACKLOG,
        )
        self.rest_port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close all sockets; what the hub knows is gone with the object, unless its part is kept."""
        self.hub.query_view.stop()
        await self._mqtt.stop()
        if self._listener is not None:
            self._listener.close()
        await self._rest.cleanup()
        if self._listener is not None:
            # Idle clients keep their connections; they would not answer a TLS goodbye either.
            self._listener.abort_clients()  # type: ignore[attr-defined]  # 3.13, as all of the local cloud
            await self._listener.wait_closed()

    @property
    def ca_path(self) -> Path:
        """The PEM certificate that clients must trust."""
        return self._authority.ca.certificate

    @property
    def throttle(self) -> Throttle:
        return self.hub.throttle

    @property
    def service_connection_string(self) -> str:
        """For the policy that may do everything."""
        return self.connection_string("iothubowner")

    def connection_string(self, policy: str) -> str:
        """For one of the built-in policies: iothubowner, service, device, registryRead, registryReadWrite."""
        name = "localhost" if self._host == "127.0.0.1" else self._host
        key = self.hub.policies.keys[policy]
        return f"HostName={name}:{self.rest_port};SharedAccessKeyName={policy};SharedAccessKey={key}"

    def device_connection_string(self, device_id: str) -> str:
        """For a registered device.

        Raises:
            HubError: 404001.
        """
        identity = self.hub.registry.get(device_id).identity
        key = "" if identity.thumbprints else f";SharedAccessKey={identity.primary_key}"
        return f"HostName={self.mqtt_host};DeviceId={device_id}{key}"

    def statistics(self) -> HubStatistics:
        return self.hub.statistics()

    def send_cloud_to_device(
        self,
        device_id: str,
        body: bytes,
        properties: Mapping[str, str] | None = None,
        ttl: timedelta = DEFAULT_TTL,
    ) -> str:
        """Queue a cloud-to-device message (in Azure a service sends it over AMQP); its id.

        Raises:
            HubError: 404001, 413001, 403004 where 50 are waiting, 429001.
        """
        return self.service.send_cloud_to_device(device_id, body, properties, ttl)

    def believe(self, pem: str) -> None:
        """Let TLS pass certificates of devices that are, or were signed by, this one (PEM).

        Whose they are the registry says, by thumbprints. Azure asks for nothing else; OpenSSL, as Python has it, does.
        """
        self._believed.append(pem)
        if self._device_tls is not None:
            self._device_tls.load_verify_locations(cadata=pem)

    def _device_context_for(self, address: str) -> ssl.SSLContext:
        self._device_tls = context = self._context_for(address)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        for pem in self._believed:
            context.load_verify_locations(cadata=pem)
        return context

    def _context_for(self, address: str) -> ssl.SSLContext:
        return self._authority.server_context({"127.0.0.1", self._host, address})


def _open_policies(folder: Path) -> AccessPolicies:
    """The policies whose keys are kept in ``folder``."""
    path = folder / _KEYS_FILE
    policies = AccessPolicies(json.loads(path.read_text()) if path.exists() else None)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(dict(policies.keys), file)
    return policies
