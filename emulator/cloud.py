"""The cloud process: bus, hub, grid, event hubs, storage events and the control API in one event loop.

`python -m emulator.cloud --config infra/local/cloud.json --state DIR` runs until it is told to stop; when all is up
it writes the settings that point an app at it to `DIR/settings.json`.
"""

import argparse
import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from emulator.addresses import MQTT_PORT, AddressBook
from emulator.bus import BusServer, NamespaceConfig
from emulator.bus.store.snapshot import queues_part
from emulator.cloud_config import CloudConfig, read_cloud_config
from emulator.cloud_settings import (
    event_hub_connection_string,
    hub_settings,
    identity_settings,
    load_or_make_secrets,
    login_settings,
    open_subscription,
    provisioning_settings,
    storage_settings,
    topic_settings,
    write_private,
)
from emulator.control import Bell, ControlApi
from emulator.durable import StateFile
from emulator.eventhub.api import EventHubApi
from emulator.eventhub.log import EventLog, event_hubs_part
from emulator.grid.dead_letters import DeadLetterStore
from emulator.grid.subscriptions import Deliveries
from emulator.grid.topics import Topics
from emulator.host.keys import load_or_make_keys
from emulator.hub import HubError, HubServer
from emulator.hub_controls import HubControls
from emulator.hub_routes import HubRoutes
from emulator.identity import IdentityApi, TokenIssuer
from emulator.login import LoginApi, SigningKeys
from emulator.names import KEY_NAME, KEYS_FILE, SETTINGS_FILE, STATE_FILE, VAULT_FILE
from emulator.pki import open_authority
from emulator.provisioning import ProvisioningServer, RegistryLink
from emulator.provisioning.controls import ProvisioningControls
from emulator.shutdown import until_told_to_stop
from emulator.storage.azurite import Azurite, AzuritePorts
from emulator.storage.blob_events import BlobEvents, make_events_queue
from emulator.storage.queue_depths import QueueDepths
from emulator.storage.resources import make_containers, make_tables
from emulator.vault import APP_CLIENT_ID, OWNER_CLIENT_ID, VaultServer
from emulator.vault.store import KeyStore

log = logging.getLogger("cloud")


class Cloud:
    """All services of one local cloud.

    Args:
        config: what it has.
        state_dir: folder for data, keys and logs.
        lock: descriptor of the lock on that folder, which storage holds as long as it lives; None without one.
    """

    def __init__(self, config: CloudConfig, state_dir: Path, *, lock: int | None = None) -> None:
        self._config = config
        self._state_dir = state_dir
        self._lock = lock
        self._addresses = AddressBook(state_dir / "addresses.json")
        self._function_keys = load_or_make_keys(state_dir / KEYS_FILE)
        self._functions_url = f"http://127.0.0.1:{self._addresses.port('functions')}"
        self._control_port = self._addresses.port("control")
        self._secrets = load_or_make_secrets(state_dir / "secrets.json", config)
        self._issuer = TokenIssuer(state_dir / "identity.pem")
        login_url = f"http://127.0.0.1:{self._control_port}"
        self._login = LoginApi(SigningKeys(state_dir / "login-keys.json"), self._secrets["login"], url=login_url)
        self._bell = Bell()
        self._blob_events = BlobEvents(config.blob_trigger_containers, on_queued=self._bell.ring)
        self._event_hubs = {name: EventLog(name, partitions=n) for name, n in config.event_hubs.items()}
        self._open = AsyncExitStack()

    async def start(self) -> dict[str, str]:
        """Start everything; returns the settings for an app.

        Raises:
            AzuriteError: storage does not start.
            OSError: an address is taken.
        """
        azurite = await self._start_storage()
        self._state = StateFile(self._state_dir / STATE_FILE)
        self._open.callback(self._state.close)
        self._state.add(event_hubs_part(self._event_hubs))
        self._bus = await self._start_bus()
        await self._start_grid(azurite.connection_string)
        self._hub = await self._start_hub()
        self._provisioning = await self._start_provisioning()
        self._vault = await self._start_vault()
        await self._start_http()
        self._run(self._state.run())
        return self._settings(azurite.connection_string)

    async def stop(self) -> None:
        """Stop everything in reverse order, storage last, so that it keeps its data."""
        await self._open.aclose()

    async def _start_storage(self) -> Azurite:
        ports = {kind: self._addresses.port(kind) for kind in ("blob", "queue", "table")}
        azurite = Azurite(
            location=self._state_dir / "storage",
            ports=AzuritePorts(**ports),
            on_line=self._blob_events.see_line,
            log_path=self._state_dir / "logs" / "azurite.log",
            keeps=[] if self._lock is None else [self._lock],
        )
        self._open.push_async_callback(azurite.stop)
        await azurite.start()
        await asyncio.gather(
            make_containers(azurite.connection_string, self._config.containers),
            make_tables(azurite.connection_string, self._config.tables),
            make_events_queue(azurite.connection_string),
        )
        self._run(self._blob_events.run(azurite.connection_string))
        self._depths = QueueDepths(azurite.connection_string)
        self._open.push_async_callback(self._depths.close)
        return azurite

    def _run(self, loop: Any) -> None:
        task = asyncio.create_task(loop)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._open.push_async_callback(end)

    async def _start_bus(self) -> BusServer:
        bus = BusServer(
            config=NamespaceConfig.from_file(self._config.service_bus),
            key_name=KEY_NAME,
            key=self._secrets["bus"],
            host="127.0.0.1",
            port=self._addresses.port("bus"),
        )
        self._state.add(queues_part(bus.store))
        await bus.start()
        self._open.push_async_callback(bus.stop)
        return bus

    async def _start_grid(self, storage: str) -> None:
        dead_letters = DeadLetterStore(storage)
        self._open.push_async_callback(dead_letters.close)
        webhook = f"{self._functions_url}/runtime/webhooks/EventGrid?code={self._function_keys.event_grid}"
        subscriptions = [
            open_subscription(each, webhook=webhook, retry_scale=self._config.retry_scale)
            for each in self._config.subscriptions
        ]
        self._deliveries = Deliveries(subscriptions, dead_letters)
        self._open.push_async_callback(self._deliveries.close)
        self._topics = Topics(self._topic_keys(), self._deliveries)
        self._routes = HubRoutes(
            self._config.routes,
            event_hubs=self._event_hubs,
            topics=self._topics,
            system_topic=self._config.system_topic,
            hub_name=self._config.hub.name,
        )

    async def _start_hub(self) -> HubServer:
        hub = HubServer(
            config=self._config.hub,
            state_dir=self._state_dir / "hub",
            host=self._addresses.mqtt_address("hub"),
            rest_port=self._addresses.port("hub-rest"),
            mqtt_port=MQTT_PORT,
            on_event=self._routes.accept,
        )
        self._state.add(hub.part)
        await hub.start()
        self._open.push_async_callback(hub.stop)
        return hub

    async def _start_provisioning(self) -> ProvisioningServer | None:
        """Behind the hub's authority, too: a device is told one."""
        if self._config.provisioning is None:
            return None
        service = ProvisioningServer(
            self._config.provisioning,
            [RegistryLink(self._hub)],
            open_authority(self._state_dir / "hub"),
            host=self._addresses.mqtt_address("provisioning"),
        )
        self._state.add(service.store.part)
        await service.start()
        self._open.push_async_callback(service.stop)
        return service

    async def _start_vault(self) -> VaultServer:
        """The vault stands behind the hub's authority, which every client trusts already."""
        vault = VaultServer(
            KeyStore(self._state_dir / VAULT_FILE),
            self._issuer,
            port=self._addresses.port("vault"),
            tls=open_authority(self._state_dir / "hub").server_context({"127.0.0.1"}),
        )
        await vault.start()
        self._open.push_async_callback(vault.stop)
        return vault

    async def _start_http(self) -> None:
        app = web.Application()
        self._topics.add_routes(app)
        EventHubApi(self._event_hubs, key=self._secrets["event-hubs"]).add_routes(app)
        controls = HubControls(self._hub)
        control = ControlApi(
            status=self._status,
            faults=self._routes.faults,
            set_throttle=controls.set_throttle,
            set_queries=controls.set_queries,
            set_vault_fault=self._vault.limits.set_fault,
            bell=self._bell,
            find_device=self._find_device,
        )
        control.add_routes(app)
        if self._provisioning is not None:
            ProvisioningControls(self._provisioning).add_routes(app)
        header, others = self._secrets["identity"], frozenset({OWNER_CLIENT_ID})
        IdentityApi(self._issuer, header, own=APP_CLIENT_ID, others=others).add_routes(app)
        self._login.add_routes(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._open.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", self._control_port).start()

    def _find_device(self, device_id: str) -> str:
        try:
            return self._hub.device_connection_string(device_id)
        except HubError as error:
            raise KeyError(device_id) from error

    async def _status(self) -> dict[str, Any]:
        """What `GET /status` shows; a quiet cloud has zeros for waiting, active, lag, pending and held."""
        return {
            "storage": {
                "waiting": self._blob_events.waiting,
                "published": self._blob_events.published,
                "queues": await self._depths.read(),
            },
            "queues": {name: asdict(counts) for name, counts in self._bus.store.counts().items()},
            "eventHubs": {n: {"count": h.count(), "lag": h.lag()} for n, h in self._event_hubs.items()},
            "subscriptions": {name: asdict(each) for name, each in self._deliveries.counts.items()},
            "faults": {"held": self._routes.faults.held, "applied": self._routes.faults.applied},
            "hub": asdict(self._hub.statistics()),
            "vault": {"signatures": dict(self._vault.limits.signatures)},
        }

    def _settings(self, storage: str) -> dict[str, str]:
        urls = {
            "CONTROL_URL": f"http://127.0.0.1:{self._control_port}",
            "FUNCTIONS_URL": self._functions_url,
            "LOCAL_BLOB_VISIBILITY_S": str(self._config.blob_visibility_s),
        }
        return {
            **storage_settings(storage),
            "ServiceBus": self._bus.connection_string,
            **hub_settings(self._hub),
            **provisioning_settings(self._provisioning),
            "EventHub": event_hub_connection_string(self._control_port, self._secrets["event-hubs"]),
            **urls,
            **topic_settings(urls["CONTROL_URL"], self._topic_keys()),
            **identity_settings(urls["CONTROL_URL"], self._secrets["identity"]),
            **login_settings(self._login, self._secrets["login"]),
            "KEY_VAULT_URI": self._vault.url,
            "KEY_OWNER_CLIENT_ID": OWNER_CLIENT_ID,
        }

    def _topic_keys(self) -> dict[str, str]:
        return {topic: self._secrets[f"topic:{topic}"] for topic in self._config.topics}


async def run(config: CloudConfig, state_dir: Path, *, with_parent: bool, lock: int | None) -> None:
    """Run a cloud until the process is told to stop."""
    cloud = Cloud(config, state_dir, lock=lock)
    try:
        write_private(state_dir / SETTINGS_FILE, await cloud.start())
        log.info("local cloud is up")
        await until_told_to_stop(with_parent=with_parent)
    finally:
        await cloud.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m emulator.cloud", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("infra/local/cloud.json"))
    parser.add_argument("--state", type=Path, default=Path(".local/cloud"))
    parser.add_argument("--lock", type=int, help="inherited descriptor of the lock on the state folder")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s %(message)s")
    for name in ("azure", "uamqp", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    state_dir = arguments.state.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    config = read_cloud_config(arguments.config)
    asyncio.run(run(config, state_dir, with_parent=arguments.with_parent, lock=arguments.lock))


if __name__ == "__main__":
    main()
