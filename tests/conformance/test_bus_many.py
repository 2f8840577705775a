"""Many receivers at once, with the asynchronous SDK."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessageSizeExceededError, MessagingEntityNotFoundError

from emulator.bus import QueueConfig
from tests.support.bus import BusThread, running_bus


@pytest.fixture(scope="module")
def bus() -> Iterator[BusThread]:
    with running_bus(
        QueueConfig(name="q"), QueueConfig(name="fair"), QueueConfig(name="s", requires_session=True)
    ) as running:
        yield running


def client_of(bus: BusThread) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(bus.server.connection_string, retry_total=0)


@asynccontextmanager
async def opened(client: ServiceBusClient, *receivers: ServiceBusReceiver) -> AsyncIterator[None]:
    """Opens and closes all at once; one by one, each takes the SDK a second."""
    async with client:
        await asyncio.gather(*(receiver.__aenter__() for receiver in receivers))
        yield
        await asyncio.gather(*(receiver.close() for receiver in receivers))


async def send(client: ServiceBusClient, queue: str, messages: list[ServiceBusMessage]) -> None:
    async with client.get_queue_sender(queue) as sender:
        await sender.send_messages(messages)


async def consume(receiver: ServiceBusReceiver, taken: Counter[str], total: int) -> None:
    """Completes messages until all receivers together have `total`; abandons every tenth once."""
    while taken.total() < total:
        for message in await receiver.receive_messages(20, max_wait_time=0.5):
            if message.sequence_number % 10 == 0 and message.delivery_count == 0:
                await receiver.abandon_message(message)
                continue
            await receiver.complete_message(message)
            taken[message.message_id] += 1


def test_eight_receivers_share_a_queue_and_every_message_is_taken_once(bus: BusThread) -> None:
    async def run() -> Counter[str]:
        taken: Counter[str] = Counter()
        client = client_of(bus)
        receivers = [client.get_queue_receiver("q") for _ in range(8)]
        async with opened(client, *receivers):
            await send(client, "q", [ServiceBusMessage("x", message_id=f"{number}") for number in range(400)])
            await asyncio.gather(*(consume(receiver, taken, 400) for receiver in receivers))
        return taken

    taken = asyncio.run(run())

    assert len(taken) == 400
    assert set(taken.values()) == {1}
    assert bus.counts("q").active == 0


def test_receivers_with_equal_credit_get_equal_shares(bus: BusThread) -> None:
    async def run() -> list[int]:
        client = client_of(bus)
        receivers = [client.get_queue_receiver("fair", receive_mode="receiveanddelete") for _ in range(4)]
        async with opened(client, *receivers):
            waiting = [asyncio.create_task(one.receive_messages(10, max_wait_time=10)) for one in receivers]
            await send(client, "fair", [ServiceBusMessage("x") for _ in range(40)])
            return [len(got) for got in await asyncio.gather(*waiting)]

    assert asyncio.run(run()) == [10, 10, 10, 10]


def test_sessions_are_spread_over_receivers_and_stay_in_order(bus: BusThread) -> None:
    async def drain(client: ServiceBusClient, seen: dict[str, list[str]]) -> None:
        for _ in range(5):
            async with client.get_queue_receiver("s", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as receiver:
                for message in await receiver.receive_messages(10, max_wait_time=5):
                    seen.setdefault(message.session_id, []).append(str(message))
                    await receiver.complete_message(message)

    async def run() -> dict[str, list[str]]:
        seen: dict[str, list[str]] = {}
        async with client_of(bus) as client:
            pairs = [(session, step) for step in range(10) for session in range(20)]
            messages = [ServiceBusMessage(f"{step}", session_id=f"s{session}") for session, step in pairs]
            await send(client, "s", messages)
            await asyncio.gather(*(drain(client, seen) for _ in range(4)))
        return seen

    seen = asyncio.run(run())

    assert len(seen) == 20
    assert all(steps == [f"{step}" for step in range(10)] for steps in seen.values())


def test_the_asynchronous_sdk_sees_the_same_refusals(bus: BusThread) -> None:
    async def run() -> None:
        async with client_of(bus) as client:
            with pytest.raises(MessagingEntityNotFoundError):
                await send(client, "nowhere", [ServiceBusMessage("x")])
            async with client.get_queue_sender("q") as sender:
                with pytest.raises(MessageSizeExceededError):
                    await sender.send_messages(ServiceBusMessage(b"x" * 300_000))

    asyncio.run(run())
