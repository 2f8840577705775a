"""The bus as a whole: listens, hands out a connection string, stops."""

import asyncio
import time

from emulator.bus.config import NamespaceConfig
from emulator.bus.sas import SasVerifier
from emulator.bus.store.message import Clock
from emulator.bus.store.store import BusStore
from emulator.bus.wire.broker import Broker
from emulator.bus.wire.connection import Connection

_IDLE_TIMEOUT_S = 240.0  # what Service Bus announces


class BusServer:
    """A Service Bus namespace in memory, on a plain TCP port.

    What the queues hold outlives `stop` and a new `start`, not the object.

    Attributes:
        store: the queues, for whoever wants to look at them in the same event loop.
        port: the port it listens on; 0 until started, if an ephemeral one was asked for.
    """

    def __init__(
        self,
        *,
        config: NamespaceConfig,
        key_name: str,
        key: str,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock = time.time,
        idle_timeout_s: float = _IDLE_TIMEOUT_S,
    ) -> None:
        self.store = BusStore(config, clock)
        self.port = port
        self._host = host
        self._key_name = key_name
        self._key = key
        self._idle_timeout_s = idle_timeout_s
        self._server: asyncio.Server | None = None
        self._broker: Broker | None = None
        self._connections: set[Connection] = set()

    @property
    def connection_string(self) -> str:
        """What an SDK client is given. `UseDevelopmentEmulator` makes it use this port, and no TLS."""
        return (
            f"Endpoint=sb://{self._host}:{self.port};SharedAccessKeyName={self._key_name};"
            f"SharedAccessKey={self._key};UseDevelopmentEmulator=true;"
        )

    async def start(self) -> None:
        """Listens. A port of 0 becomes the one the system chose."""
        broker = Broker(self.store, SasVerifier(key_name=self._key_name, key=self._key))
        self._broker = broker
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._connect(broker), self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _connect(self, broker: Broker) -> Connection:
        connection = Connection(broker, self._idle_timeout_s, self._connections.discard)
        self._connections.add(connection)
        return connection

    def receivers(self, queue: str) -> int:
        """How many links take messages of a queue now."""
        return self._broker.dispatcher(self.store.queue(queue)).receivers() if self._broker else 0

    def waiting_for_sessions(self, queue: str) -> int:
        """How many clients wait for any session of a queue now."""
        return self._broker.dispatcher(self.store.queue(queue)).waiting() if self._broker else 0

    async def stop(self) -> None:
        """Stops listening and drops every connection."""
        if self._server is None or self._broker is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.drop()
        await self._server.wait_closed()
        self._broker.stop()
        self._server = self._broker = None
