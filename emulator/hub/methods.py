"""Direct methods in flight.

IoT Hub developer guide, "Understand and invoke direct methods": 128 KB each way, 404103 for a device that is not
connected or has no method handler, 504101 for one that does not answer in time.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from emulator.hub.documents import Json
from emulator.hub.errors import Code, HubError, invalid
from emulator.hub.links import DeviceLink

MAX_PAYLOAD_BYTES = 128 * 1024
RESPONSE_TIMEOUTS_S = range(5, 301)
CONNECT_TIMEOUTS_S = range(301)
_DEFAULT_RESPONSE_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCall:
    """What a service asks for. ``payload`` is JSON."""

    name: str
    payload: bytes
    response_timeout_s: float = _DEFAULT_RESPONSE_TIMEOUT_S
    connect_timeout_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodAnswer:
    """What the device answered."""

    status: int
    payload: Any


def read_method_call(document: object) -> MethodCall:
    """The call in a request body.

    Raises:
        HubError: 400004, or 413001 for a payload too large.
    """
    if not isinstance(document, dict) or not isinstance(document.get("methodName"), str):
        raise invalid("methodName is missing")
    payload = json.dumps(document.get("payload")).encode()
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise HubError(Code.MESSAGE_TOO_LARGE, f"A method's payload has at most {MAX_PAYLOAD_BYTES} bytes")
    return MethodCall(
        name=document["methodName"],
        payload=payload,
        response_timeout_s=_seconds(
            document, "responseTimeoutInSeconds", RESPONSE_TIMEOUTS_S, _DEFAULT_RESPONSE_TIMEOUT_S
        ),
        connect_timeout_s=_seconds(document, "connectTimeoutInSeconds", CONNECT_TIMEOUTS_S, 0),
    )


def _seconds(document: Json, key: str, allowed: range, default: int) -> int:
    value = document.get(key)
    if value is None:
        return default
    if value not in allowed:
        raise invalid(f"{key} lies between {allowed[0]} and {allowed[-1]}")
    return int(value)


class MethodCalls:
    """Matches answers to calls.

    Args:
        links: the connected devices.
    """

    def __init__(self, links: Mapping[str, DeviceLink]) -> None:
        self._links = links
        self._request_ids = count(1)
        self._answers: dict[tuple[str, str], asyncio.Future[MethodAnswer]] = {}
        self._listeners: dict[str, set[Callable[[], None]]] = {}

    async def invoke(self, device_id: str, call: MethodCall) -> MethodAnswer:
        """Call a method and wait for its answer.

        Raises:
            HubError: 404103, 504101.
        """
        request_id = str(next(self._request_ids))
        try:
            answer = await self._start(device_id, request_id, call)
            async with asyncio.timeout(call.response_timeout_s):
                return await answer
        except TimeoutError:
            raise HubError(Code.GATEWAY_TIMEOUT, "The device did not answer in time (504101)") from None
        finally:
            self._answers.pop((device_id, request_id), None)

    def answer(self, device_id: str, request_id: str, answer: MethodAnswer) -> None:
        """Hand over a device's answer; one that nobody waits for is dropped."""
        waiting = self._answers.get((device_id, request_id))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def device_ready(self, device_id: str) -> None:
        """The device has subscribed to methods."""
        for wake in self._listeners.get(device_id, set()).copy():
            wake()

    def device_gone(self, device_id: str) -> None:
        """Fail what the device can no longer answer."""
        for (called, _), waiting in list(self._answers.items()):
            if called == device_id and not waiting.done():
                waiting.set_exception(_not_online())

    async def _start(self, device_id: str, request_id: str, call: MethodCall) -> asyncio.Future[MethodAnswer]:
        ready = asyncio.Event()
        listeners = self._listeners.setdefault(device_id, set())
        listeners.add(ready.set)
        try:
            async with asyncio.timeout(call.connect_timeout_s):
                while (answer := self._send(device_id, request_id, call)) is None:
                    ready.clear()
                    await ready.wait()
                return answer
        except TimeoutError:
            raise _not_online() from None
        finally:
            listeners.discard(ready.set)
            if not listeners:
                self._listeners.pop(device_id, None)

    def _send(self, device_id: str, request_id: str, call: MethodCall) -> asyncio.Future[MethodAnswer] | None:
        link = self._links.get(device_id)
        if link is None or not link.call_method(request_id, call.name, call.payload):
            return None
        answer: asyncio.Future[MethodAnswer] = asyncio.get_running_loop().create_future()
        self._answers[device_id, request_id] = answer
        return answer


def _not_online() -> HubError:
    return HubError(
        Code.DEVICE_NOT_ONLINE,
        "The requested device isn't online or hasn't registered the direct method callback (404103)",
    )
