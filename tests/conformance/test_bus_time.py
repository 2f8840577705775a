"""Scheduling, expiry, duplicates within a window, and looking at what waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState, ServiceBusSubQueue
from azure.servicebus.exceptions import MessageNotFoundError

from emulator.bus import QueueConfig
from tests.support.bus import BusThread, Doors, open_doors, receive_one, running_bus, text_of
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def bus() -> Iterator[BusThread]:
    with running_bus(
        QueueConfig(name="q"),
        QueueConfig(name="unique", requires_duplicate_detection=True, duplicate_window_s=2.0),
        QueueConfig(name="brief", default_ttl_s=0.3),
        QueueConfig(name="buried", default_ttl_s=0.3, dead_letter_on_expiry=True),
        QueueConfig(name="relay", forward_to="q"),
        QueueConfig(name="graves", max_delivery_count=1, forward_dead_letters_to="q"),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def doors(bus: BusThread) -> Iterator[Doors]:
    with open_doors(bus) as opened:
        yield opened


def soon(seconds: float = 1) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_message_sent_with_a_time_arrives_at_that_time(bus: BusThread, doors: Doors) -> None:
    due = soon()
    doors.sender("q").send_messages(ServiceBusMessage("at", scheduled_enqueue_time_utc=due))
    assert bus.counts("q").scheduled == 1

    message = receive_one(doors.receiver("q"))

    lateness = message.enqueued_time_utc - due
    assert timedelta(seconds=-1) <= lateness < timedelta(seconds=0.2)
    doors.receiver("q").complete_message(message)


def test_scheduled_messages_wait_for_their_time_and_can_be_cancelled(bus: BusThread, doors: Doors) -> None:
    first, second = doors.sender("q").schedule_messages([ServiceBusMessage("no"), ServiceBusMessage("yes")], soon())
    doors.sender("q").cancel_scheduled_messages(first)
    assert bus.counts("q").scheduled == 1

    message = receive_one(doors.receiver("q"))

    assert text_of(message) == "yes"
    assert message.sequence_number != second, "becoming active gives a message a new number"
    doors.receiver("q").complete_message(message)
    with pytest.raises(MessageNotFoundError):
        doors.sender("q").cancel_scheduled_messages(second)


def test_an_expired_message_is_dropped(bus: BusThread, doors: Doors) -> None:
    doors.sender("brief").send_messages(ServiceBusMessage("gone"))

    wait_until(lambda: bus.counts("brief").active == 0, timeout_s=2)

    assert bus.counts("brief").dead_letter == 0


def test_an_expired_message_is_dead_lettered_where_the_queue_says_so(doors: Doors) -> None:
    doors.sender("buried").send_messages(ServiceBusMessage("late"))

    graves = doors.receiver("buried", sub_queue=ServiceBusSubQueue.DEAD_LETTER)
    dead = receive_one(graves)

    assert (text_of(dead), dead.dead_letter_reason) == ("late", "TTLExpiredException")
    graves.complete_message(dead)


def test_the_senders_time_to_live_counts_when_it_is_shorter(bus: BusThread, doors: Doors) -> None:
    doors.sender("q").send_messages(ServiceBusMessage("short", time_to_live=timedelta(seconds=1)))
    assert bus.counts("q").active == 1

    wait_until(lambda: bus.counts("q").active == 0, timeout_s=3)


def test_a_second_message_with_the_same_id_is_dropped_until_the_window_ends(bus: BusThread, doors: Doors) -> None:
    sender = doors.sender("unique")
    sender.send_messages([ServiceBusMessage("one", message_id="x"), ServiceBusMessage("two", message_id="x")])
    sender.send_messages(ServiceBusMessage("other", message_id="y"))
    assert bus.counts("unique").active == 2

    def is_taken_again() -> bool:
        sender.send_messages(ServiceBusMessage("three", message_id="x"))
        return bus.counts("unique").active == 3

    wait_until(is_taken_again, timeout_s=5)


def test_peeking_shows_every_state_and_takes_nothing(bus: BusThread, doors: Doors) -> None:
    sender, receiver = doors.sender("q"), doors.receiver("q")
    sender.send_messages([ServiceBusMessage(name) for name in ("deferred", "locked", "active")])
    deferred, locked = receive_one(receiver), receive_one(receiver)
    receiver.defer_message(deferred)
    (number,) = sender.schedule_messages(ServiceBusMessage("scheduled"), soon(60))

    peeked = receiver.peek_messages(10, sequence_number=deferred.sequence_number)

    assert [(text_of(message), message.state) for message in peeked] == [
        ("deferred", ServiceBusMessageState.DEFERRED),
        ("locked", ServiceBusMessageState.ACTIVE),
        ("active", ServiceBusMessageState.ACTIVE),
        ("scheduled", ServiceBusMessageState.SCHEDULED),
    ]
    sender.cancel_scheduled_messages(number)
    receiver.complete_message(locked)
    receiver.complete_message(receiver.receive_deferred_messages(deferred.sequence_number)[0])
    receiver.complete_message(receive_one(receiver))
    assert bus.counts("q").active == 0


def test_peeking_goes_on_page_by_page(doors: Doors) -> None:
    sender, receiver = doors.sender("q"), doors.receiver("q", max_wait_time=5)
    sender.send_messages([ServiceBusMessage(f"{number}") for number in range(25)])

    pages = []
    start = 1
    while page := receiver.peek_messages(10, sequence_number=start):
        pages.append([text_of(message) for message in page])
        start = page[-1].sequence_number + 1

    assert [len(page) for page in pages] == [10, 10, 5]
    assert [text for page in pages for text in page] == [f"{number}" for number in range(25)]
    for _ in range(25):
        receiver.complete_message(receive_one(receiver))


def test_a_page_of_large_messages_is_shorter_than_asked_for(doors: Doors) -> None:
    sender, receiver = doors.sender("q"), doors.receiver("q")
    for _ in range(3):
        sender.send_messages(ServiceBusMessage(b"x" * 100_000))

    assert len(receiver.peek_messages(3, sequence_number=1)) == 2

    for _ in range(3):
        receiver.complete_message(receive_one(receiver))


def test_a_queue_forwards_to_another(doors: Doors) -> None:
    doors.sender("relay").send_messages(ServiceBusMessage("passed on"))

    message = receive_one(doors.receiver("q"))

    assert text_of(message) == "passed on"
    doors.receiver("q").complete_message(message)


def test_dead_letters_are_forwarded_with_their_source(doors: Doors) -> None:
    doors.sender("graves").send_messages(ServiceBusMessage("dead"))
    doors.receiver("graves").abandon_message(receive_one(doors.receiver("graves")))

    message = receive_one(doors.receiver("q"))

    assert message.dead_letter_source == "graves"
    assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
    doors.receiver("q").complete_message(message)
