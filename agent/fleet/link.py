"""One simulated device's MQTT connection: paho's client driven by an asyncio loop instead of a thread of its own."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any
from urllib.parse import parse_qs

import paho.mqtt.client as mqtt

from agent.fleet.credentials import Credentials
from agent.ports import ChannelDown, ChannelThrottled
from shared.wire.twins import DEVICE_PROPERTY, PROPERTY, write_device_section

_TWIN_RESULTS = "$iothub/twin/res/"
_DESIRED_PATCHES = "$iothub/twin/PATCH/properties/desired/"
_KEEP_ALIVE_S = 240
_OK = (200, 204)


class Link:
    """A connection, from ``open`` to ``close`` or to its loss; never used again after that.

    ``on_desired`` hears every desired patch, ``on_lost`` once that the connection ended without ``close``.
    """

    def __init__(
        self,
        credentials: Credentials,
        tls: ssl.SSLContext,
        *,
        on_desired: Callable[[Mapping[str, Any]], None],
        on_lost: Callable[[], None],
        timeout_s: float = 30.0,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._credentials = credentials
        self._on_desired = on_desired
        self._on_lost = on_lost
        self._timeout_s = timeout_s
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._requests = 0
        self._is_closed = False
        self._client = self._make_client(tls)

    def _make_client(self, tls: ssl.SSLContext) -> Any:
        client = mqtt.Client(client_id=self._credentials.device, clean_session=True)
        client.tls_set_context(tls)
        client.username_pw_set(self._credentials.user_name, self._credentials.new_token())
        client.on_connect = lambda _client, _data, _flags, status: self._settle("connect", status)
        client.on_subscribe = lambda _client, _data, _id, granted: self._settle("subscribe", granted)
        client.on_message = lambda _client, _data, message: self._hear(message)
        client.on_disconnect = lambda _client, _data, status: self._on_end(f"disconnected ({status})")
        client.on_socket_register_write = lambda _client, _data, sock: self._in_loop(lambda: self._watch_writes(sock))
        client.on_socket_unregister_write = lambda _client, _data, sock: self._in_loop(
            lambda: self._loop.remove_writer(sock)
        )
        client.on_socket_close = lambda _client, _data, sock: self._forget(sock)
        return client

    async def open(self, handshakes: Executor) -> None:
        """Connect and subscribe. The TLS handshake blocks in paho, so it is done on one of a few shared threads.

        Raises:
            ChannelDown: The hub cannot be reached, or refuses the device.
        """
        connected = self._expect("connect")
        address = (self._credentials.host, self._credentials.port, _KEEP_ALIVE_S)
        try:
            await self._loop.run_in_executor(handshakes, self._client.connect, *address)
        except OSError as error:
            raise ChannelDown(f"cannot connect: {error}") from error
        self._loop.add_reader(self._client.socket(), self._read)
        if (status := await self._within_time(connected)) != 0:
            self.close()
            raise ChannelDown(f"the hub refused the connection ({status})")
        subscribed = self._expect("subscribe")
        self._client.subscribe([(f"{_TWIN_RESULTS}#", 0), (f"{_DESIRED_PATCHES}#", 0)])
        await self._within_time(subscribed)

    async def get_twin(self) -> Mapping[str, Any]:
        """The twin as ``{"desired": …, "reported": …}``.

        Raises:
            ChannelDown, ChannelThrottled: As ``agent.ports.TwinChannel`` says.
        """
        twin: Mapping[str, Any] = json.loads(await self._request("$iothub/twin/GET/", b""))
        return twin

    async def report(self, document: Mapping[str, Any]) -> None:
        """Patch ``update`` of the reported properties.

        Raises:
            ChannelDown, ChannelThrottled: As ``agent.ports.TwinChannel`` says.
        """
        await self._patch({PROPERTY: document})

    async def introduce(self, hardware: str) -> None:
        """Say in the reported properties what the device is.

        Raises:
            ChannelDown, ChannelThrottled: As ``agent.ports.TwinChannel`` says.
        """
        await self._patch({DEVICE_PROPERTY: write_device_section(hardware)})

    async def _patch(self, reported: Mapping[str, Any]) -> None:
        await self._request("$iothub/twin/PATCH/properties/reported/", json.dumps(reported).encode())

    def close(self) -> None:
        """End the connection."""
        self._is_closed = True
        sock = self._client.socket()
        if sock is not None:
            self._client.disconnect()
            self._client.loop_write()
            # Where the farewell could not be written at once, paho would keep the socket for later.
            self._forget(sock)
            sock.close()
        self._on_end("closed")

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended, by whomever."""
        return self._is_closed

    def tick(self) -> None:
        """Let paho look at the time, for pings; to be called every few seconds."""
        self._client.loop_misc()

    async def _request(self, topic: str, payload: bytes) -> bytes:
        self._requests += 1
        request_id = str(self._requests)
        answered = self._expect(request_id)
        self._client.publish(f"{topic}?$rid={request_id}", payload)
        status, body = await self._within_time(answered)
        if status not in _OK:
            raise ChannelThrottled(f"the hub answered {status}")
        return bytes(body)

    def _hear(self, message: Any) -> None:
        topic = str(message.topic)
        if topic.startswith(_DESIRED_PATCHES):
            self._on_desired(json.loads(message.payload))
        elif topic.startswith(_TWIN_RESULTS):
            status, _, query = topic.removeprefix(_TWIN_RESULTS).partition("/?")
            self._settle(parse_qs(query)["$rid"][0], (int(status), message.payload))

    def _expect(self, name: str) -> asyncio.Future[Any]:
        if self._is_closed:
            raise ChannelDown("the connection is closed")
        self._waiting[name] = self._loop.create_future()
        return self._waiting[name]

    def _settle(self, name: str, result: Any) -> None:
        future = self._waiting.pop(name, None)
        if future is not None and not future.done():
            future.set_result(result)

    async def _within_time(self, future: asyncio.Future[Any]) -> Any:
        try:
            return await asyncio.wait_for(future, self._timeout_s)
        except TimeoutError as error:
            self.close()
            raise ChannelDown(f"the hub did not answer within {self._timeout_s:g} s") from error

    def _on_end(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(ChannelDown(reason))
                future.exception()  # it may be that nobody waits any more
        if not self._is_closed:
            self._is_closed = True
            self._on_lost()

    def _read(self) -> None:
        sock = self._client.socket()
        # TLS may hold decrypted packets that the socket will not announce again.
        while sock is not None and self._client.loop_read() == mqtt.MQTT_ERR_SUCCESS:
            sock = self._client.socket()
            if sock is None or not sock.pending():
                return

    def _watch_writes(self, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.add_writer(sock, self._client.loop_write)

    def _forget(self, sock: Any) -> None:
        if sock.fileno() < 0:
            return
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)

    def _in_loop(self, call: Callable[[], object]) -> None:
        if threading.get_ident() == self._thread:
            call()
        else:
            self._loop.call_soon_threadsafe(call)
