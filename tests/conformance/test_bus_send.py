"""What a sender may send, and that a receiver gets exactly that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType
from azure.servicebus.exceptions import MessageSizeExceededError

from emulator.bus import QueueConfig
from emulator.bus.amqp.encoder import encode
from emulator.bus.amqp.sections import Section, write_section
from tests.support.bus import BusThread, Doors, open_doors, receive_one, running_bus, text_of


@pytest.fixture(scope="module")
def bus() -> Iterator[BusThread]:
    with running_bus(QueueConfig(name="q")) as running:
        yield running


@pytest.fixture(scope="module")
def doors(bus: BusThread) -> Iterator[Doors]:
    with open_doors(bus) as opened:
        yield opened


def take(doors: Doors) -> Any:
    receiver = doors.receiver("q")
    message = receive_one(receiver)
    receiver.complete_message(message)
    return message


def test_one_message_arrives_with_everything_its_sender_set(doors: Doors) -> None:
    sent = ServiceBusMessage(
        "hello",
        application_properties={"number": 7, "text": "seven", "real": 0.5, "flag": True},
        message_id="m-1",
        correlation_id="c-1",
        subject="greeting",
        content_type="text/plain",
        to="you",
        reply_to="me",
    )
    doors.sender("q").send_messages(sent)

    got = receive_one(doors.receiver("q"))

    assert got.enqueued_time_utc < got.locked_until_utc
    doors.receiver("q").complete_message(got)
    assert text_of(got) == "hello"
    assert got.application_properties == {b"number": 7, b"text": b"seven", b"real": 0.5, b"flag": True}
    assert (got.message_id, got.correlation_id, got.subject) == ("m-1", "c-1", "greeting")
    assert (got.content_type, got.to, got.reply_to) == ("text/plain", "you", "me")
    assert got.delivery_count == 0
    assert got.sequence_number > 0


def test_a_list_arrives_in_order_as_separate_messages(doors: Doors) -> None:
    doors.sender("q").send_messages([ServiceBusMessage(f"n{number}") for number in range(20)])

    got = [take(doors) for _ in range(20)]

    assert [text_of(message) for message in got] == [f"n{number}" for number in range(20)]
    numbers = [message.sequence_number for message in got]
    assert numbers == sorted(set(numbers))


def test_a_batch_keeps_each_messages_own_properties(doors: Doors) -> None:
    batch = doors.sender("q").create_message_batch()
    batch.add_message(ServiceBusMessage("a", message_id="id-a"))
    batch.add_message(ServiceBusMessage("b", message_id="id-b", application_properties={"k": 1}))
    doors.sender("q").send_messages(batch)

    first, second = take(doors), take(doors)

    assert (first.message_id, first.application_properties) == ("id-a", None)
    assert (second.message_id, second.application_properties) == ("id-b", {b"k": 1})


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        ({"data_body": [b"one", b"two"]}, AmqpMessageBodyType.DATA, [b"one", b"two"]),
        ({"value_body": {"k": [1, None, True]}}, AmqpMessageBodyType.VALUE, {b"k": [1, None, True]}),
        ({"sequence_body": [["a", 1], [2.5]]}, AmqpMessageBodyType.SEQUENCE, [[b"a", 1], [2.5]]),
    ],
    ids=["data", "value", "sequence"],
)
def test_every_kind_of_body_arrives_unchanged(
    doors: Doors, body: dict[str, Any], kind: AmqpMessageBodyType, expected: object
) -> None:
    doors.sender("q").send_messages(AmqpAnnotatedMessage(**body))

    raw = take(doors).raw_amqp_message

    assert raw.body_type is kind
    assert (list(raw.body) if kind is not AmqpMessageBodyType.VALUE else raw.body) == expected


def test_an_empty_body_arrives_empty(doors: Doors) -> None:
    doors.sender("q").send_messages(ServiceBusMessage(b""))

    assert b"".join(take(doors).body) == b""


def test_a_message_whose_body_looks_like_a_message_is_not_taken_apart(doors: Doors) -> None:
    encoded = write_section(Section.DATA, encode(b"inner"))
    doors.sender("q").send_messages(ServiceBusMessage(encoded))

    assert b"".join(take(doors).body) == encoded


def test_a_message_of_many_frames_arrives_whole(doors: Doors) -> None:
    body = uuid4().bytes * 15_000
    doors.sender("q").send_messages(ServiceBusMessage(body))

    assert b"".join(take(doors).body) == body


def test_a_message_above_256_kb_is_refused_and_the_sender_lives_on(doors: Doors) -> None:
    with pytest.raises(MessageSizeExceededError):
        doors.sender("q").send_messages(ServiceBusMessage(b"x" * 262_145))

    doors.sender("q").send_messages(ServiceBusMessage("still here"))
    assert text_of(take(doors)) == "still here"


def test_a_batch_takes_no_more_than_256_kb(doors: Doors) -> None:
    batch = doors.sender("q").create_message_batch()
    batch.add_message(ServiceBusMessage(b"x" * 200_000))

    with pytest.raises(MessageSizeExceededError):
        batch.add_message(ServiceBusMessage(b"x" * 80_000))


def test_receive_and_delete_leaves_nothing_behind(bus: BusThread, doors: Doors) -> None:
    doors.sender("q").send_messages([ServiceBusMessage("a"), ServiceBusMessage("b")])
    receiver = doors.receiver("q", receive_mode="receiveanddelete", prefetch_count=10)

    got = receiver.receive_messages(2, max_wait_time=5)

    assert [text_of(message) for message in got] == ["a", "b"]
    assert bus.counts("q").active == 0
