"""The listening socket for devices, on a loopback address that has port 8883 free."""

import asyncio
import errno
import ipaddress
import random
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Iterator

type ContextFor = Callable[[str], ssl.SSLContext]
_ATTEMPTS = 20
_BACKLOG = 1024
_SHUTDOWN_S = 2.0
_TLS_BUFFER_BYTES = 16 * 1024
"""One TLS record."""


class MqttListener:
    """Accepts devices.

    Args:
        connection: makes the protocol of a new connection.
        context_for: the TLS context whose certificate names a given address.
    """

    def __init__(self, connection: Callable[[], asyncio.Protocol], context_for: ContextFor) -> None:
        self._connection = connection
        self._context_for = context_for
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen on ``host``, or on another address of 127.0.0.0/8 where its port is taken; what was bound.

        The device SDK cannot be told another port than 8883, so it is the address that gives way.

        Raises:
            OSError: No address was free, or ``host`` cannot be bound at all.
        """
        _shrink_tls_buffers()
        for address in _candidates(host):
            try:
                self._server = await self._listen(address, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return address, self._server.sockets[0].getsockname()[1]
        raise OSError(errno.EADDRINUSE, f"port {port} is taken on {host} and on {_ATTEMPTS} other loopback addresses")

    async def stop(self) -> None:
        """Close the socket and all connections."""
        if self._server is None:
            return
        self._server.close()
        self._server.abort_clients()  # type: ignore[attr-defined]  # 3.13, as all of the local cloud
        await self._server.wait_closed()

    async def _listen(self, address: str, port: int) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            self._connection,
            address,
            port,
            ssl=self._context_for(address),
            ssl_shutdown_timeout=_SHUTDOWN_S,
            backlog=_BACKLOG,
        )


def _shrink_tls_buffers() -> None:
    """Let each TLS connection of this process hold 16 KB to read into instead of 256 KB.

    asyncio allots the buffer when a connection opens: 10,000 idle devices would take 2.6 GB.
    """
    SSLProtocol.max_size = _TLS_BUFFER_BYTES


def _candidates(host: str) -> Iterator[str]:
    yield host
    if ipaddress.ip_address(host) in ipaddress.ip_network("127.0.0.0/8"):
        for _ in range(_ATTEMPTS):
            yield f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
