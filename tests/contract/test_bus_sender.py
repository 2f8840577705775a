"""Sending through the real Service Bus SDK, with the queues as they are declared for every deployment."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient, ServiceBusReceivedMessage

from emulator.bus import NamespaceConfig
from shared.adapters.azure_bus import AzureBus
from shared.ports.bus import OutgoingMessage, Queue
from shared.ports.errors import Unavailable
from shared.telemetry.execution import execution
from tests.support.bus import BusThread, Doors, open_doors, receive_one, running_bus, text_of
from tests.support.spans import spans_kept

CONFIG = Path(__file__).parents[2] / "infra/local/servicebus.json"


@pytest.fixture(scope="module")
def bus() -> Iterator[BusThread]:
    with running_bus(*NamespaceConfig.from_file(CONFIG).queues) as bus:
        yield bus


@pytest.fixture(scope="module")
def doors(bus: BusThread) -> Iterator[Doors]:
    with open_doors(bus) as doors:
        yield doors


@pytest.fixture(scope="module")
def sender(bus: BusThread) -> Iterator[AzureBus]:
    sender = AzureBus(ServiceBusClient.from_connection_string(bus.server.connection_string, retry_total=0))
    yield sender
    sender.close()


def message(message_id: str, body: bytes = b"{}", **options: object) -> OutgoingMessage:
    return OutgoingMessage(body=body, message_id=message_id, **options)  # type: ignore[arg-type]


def test_every_queue_of_the_application_is_declared(bus: BusThread) -> None:
    assert {queue.name for queue in NamespaceConfig.from_file(CONFIG).queues} >= set(Queue)


def test_a_message_arrives_with_its_id_and_session(sender: AzureBus, doors: Doors) -> None:
    sender.send(Queue.CAMPAIGN_STEPS, [message("spring:1", b'{"v":1}', session_id="spring")])
    receiver = doors.receiver(Queue.CAMPAIGN_STEPS, session_id=NEXT_AVAILABLE_SESSION)
    found = receive_one(receiver)
    assert (text_of(found), found.message_id, found.session_id) == ('{"v":1}', "spring:1", "spring")
    receiver.complete_message(found)


def test_a_message_carries_its_trace_and_one_for_later_a_link(
    sender: AzureBus, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    with spans_kept(monkeypatch) as spans, execution("on_campaign_step"):
        sender.send(Queue.DEVICE_BATCHES, [message("spring:now"), message("spring:later", enqueue_at=later)])
    receiver = doors.receiver(Queue.DEVICE_BATCHES)
    found = {each.message_id: _properties(each) for each in receiver.peek_messages(max_message_count=10)}
    receiver.complete_message(receive_one(receiver))

    context = spans.named("on_campaign_step").context
    assert context is not None
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-"
    assert found["spring:now"].keys() == {"traceparent", "tracestate"}
    assert found["spring:now"]["traceparent"].startswith(parent)
    assert found["spring:later"] == {"groundswell-link": found["spring:now"]["traceparent"]}


def _properties(message: ServiceBusReceivedMessage) -> dict[str, str]:
    found: Any = message.application_properties or {}
    return {key.decode(): content.decode() for key, content in found.items()}


def test_a_repeated_id_is_dropped(sender: AzureBus, bus: BusThread) -> None:
    before = bus.counts(Queue.BATCH_DEADLINES).active
    for _ in range(3):
        sender.send(Queue.BATCH_DEADLINES, [message("spring:visit:1"), message("spring:visit:2")])
    assert bus.counts(Queue.BATCH_DEADLINES).active == before + 2


def test_a_scheduled_message_waits_for_its_time(sender: AzureBus, bus: BusThread) -> None:
    before = bus.counts(Queue.INDEX_REQUESTS)
    later = datetime.now(UTC) + timedelta(hours=1)
    sender.send(Queue.INDEX_REQUESTS, [message("later", session_id="index", enqueue_at=later)])
    after = bus.counts(Queue.INDEX_REQUESTS)
    assert (after.active - before.active, after.scheduled - before.scheduled) == (0, 1)


def test_more_than_one_batch_can_hold_goes_out_in_several(sender: AzureBus, bus: BusThread) -> None:
    messages = [message(f"big:{number}", b"x" * 20_000) for number in range(40)]
    sender.send(Queue.DEVICE_BATCHES, messages)
    assert bus.counts(Queue.DEVICE_BATCHES).active == 40


def test_nothing_to_send_is_nothing_to_do(sender: AzureBus) -> None:
    sender.send(Queue.DEVICE_BATCHES, [])


def test_threads_may_send_to_one_queue_at_once(sender: AzureBus, bus: BusThread) -> None:
    before = bus.counts(Queue.REPORT_BACKLOG).active

    def send(thread: int) -> None:
        for number in range(10):
            sender.send(Queue.REPORT_BACKLOG, [message(f"t{thread}:{number}", session_id=f"s{thread}")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))
    assert bus.counts(Queue.REPORT_BACKLOG).active == before + 40


def test_a_bus_that_is_gone_is_unavailable_and_used_again_once_it_is_back() -> None:
    with running_bus(*NamespaceConfig.from_file(CONFIG).queues) as bus:
        sender = AzureBus(ServiceBusClient.from_connection_string(bus.server.connection_string, retry_total=0))
        sender.send(Queue.DEVICE_BATCHES, [message("before")])
        bus.stop()
        with pytest.raises(Unavailable):
            sender.send(Queue.DEVICE_BATCHES, [message("during")])
        bus.start()
        sender.send(Queue.DEVICE_BATCHES, [message("after")])
        assert bus.counts(Queue.DEVICE_BATCHES).active == 2
        sender.close()
