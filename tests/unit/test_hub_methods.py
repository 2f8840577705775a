"""Direct methods: waiting for a device, for its answer, and giving up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from emulator.hub import Code, HubError
from emulator.hub.commands import Command
from emulator.hub.documents import Json
from emulator.hub.links import DeviceLink
from emulator.hub.methods import MethodAnswer, MethodCall, MethodCalls, read_method_call

ANSWER = MethodAnswer(status=200, payload={"done": True})


class Listening:
    """A device that hears of methods and hands the request id to ``on_call``."""

    def __init__(self, on_call: Callable[[str], None]) -> None:
        self._on_call = on_call

    def notify_desired(self, patch: Json) -> None: ...

    def call_method(self, request_id: str, name: str, payload: bytes) -> bool:
        asyncio.get_running_loop().call_soon(self._on_call, request_id)
        return True

    def deliver(self, command: Command) -> None: ...

    def close(self, reason: str) -> None: ...


def call(**timeouts: float) -> MethodCall:
    return MethodCall(name="reboot", payload=b"{}", **timeouts)


def refusal_of(attempt: Callable[[], object]) -> Code:
    with pytest.raises(HubError) as refusal:
        attempt()
    return refusal.value.code


def test_answer_reaches_the_caller() -> None:
    async def scene() -> MethodAnswer:
        links: dict[str, DeviceLink] = {}
        calls = MethodCalls(links)
        links["d1"] = Listening(lambda request_id: calls.answer("d1", request_id, ANSWER))
        return await calls.invoke("d1", call())

    assert asyncio.run(scene()) == ANSWER


def test_a_call_waits_for_the_device_to_connect() -> None:
    async def scene() -> MethodAnswer:
        links: dict[str, DeviceLink] = {}
        calls = MethodCalls(links)
        waiting = asyncio.create_task(calls.invoke("d1", call(connect_timeout_s=10)))
        await asyncio.sleep(0)
        links["d1"] = Listening(lambda request_id: calls.answer("d1", request_id, ANSWER))
        calls.device_ready("d1")
        return await waiting

    assert asyncio.run(scene()) == ANSWER


def test_offline_device_is_not_online_at_once() -> None:
    assert refusal_of(lambda: asyncio.run(MethodCalls({}).invoke("d1", call()))) is Code.DEVICE_NOT_ONLINE


def test_silent_device_times_out() -> None:
    async def scene() -> None:
        await MethodCalls({"d1": Listening(lambda _: None)}).invoke("d1", call(response_timeout_s=0.01))

    assert refusal_of(lambda: asyncio.run(scene())) is Code.GATEWAY_TIMEOUT


def test_device_that_leaves_while_called_is_not_online() -> None:
    async def scene() -> None:
        links: dict[str, DeviceLink] = {}
        calls = MethodCalls(links)
        links["d1"] = Listening(lambda _: calls.device_gone("d1"))
        await calls.invoke("d1", call())

    assert refusal_of(lambda: asyncio.run(scene())) is Code.DEVICE_NOT_ONLINE


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"methodName": 5},
        {"methodName": "m", "responseTimeoutInSeconds": 4},
        {"methodName": "m", "connectTimeoutInSeconds": 301},
        {"methodName": "m", "responseTimeoutInSeconds": "soon"},
    ],
)
def test_unfit_calls_are_invalid(document: object) -> None:
    assert refusal_of(lambda: read_method_call(document)) is Code.ARGUMENT_INVALID
    large = {"methodName": "m", "payload": "x" * 128 * 1024}
    assert refusal_of(lambda: read_method_call(large)) is Code.MESSAGE_TOO_LARGE
