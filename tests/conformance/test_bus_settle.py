"""What becomes of a message that was received under a lock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.servicebus import (
    AutoLockRenewer,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiver,
    ServiceBusSubQueue,
)
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError

from emulator.bus import QueueConfig
from tests.support.bus import BusThread, Doors, open_doors, receive_one, running_bus, text_of
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def bus() -> Iterator[BusThread]:
    quick = QueueConfig(name="quick", lock_s=1.0)
    twice = QueueConfig(name="twice", max_delivery_count=2)
    with running_bus(QueueConfig(name="q"), quick, twice) as running:
        yield running


@pytest.fixture(scope="module")
def doors(bus: BusThread) -> Iterator[Doors]:
    with open_doors(bus) as opened:
        yield opened


def dead_letters(doors: Doors, queue: str) -> ServiceBusReceiver:
    return doors.receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER)


def test_a_completed_message_is_gone(bus: BusThread, doors: Doors) -> None:
    doors.sender("q").send_messages(ServiceBusMessage("once"))
    message = receive_one(doors.receiver("q"))
    assert bus.counts("q").active == 1

    doors.receiver("q").complete_message(message)

    assert bus.counts("q").active == 0


def test_an_abandoned_message_comes_again_with_its_failure_counted(doors: Doors) -> None:
    doors.sender("q").send_messages(ServiceBusMessage("again"))
    first = receive_one(doors.receiver("q"))
    doors.receiver("q").abandon_message(first)

    second = receive_one(doors.receiver("q"))

    assert (first.delivery_count, second.delivery_count) == (0, 1)
    assert second.sequence_number == first.sequence_number
    doors.receiver("q").complete_message(second)


def test_a_dead_lettered_message_carries_reason_and_description(doors: Doors) -> None:
    doors.sender("q").send_messages(ServiceBusMessage("bad", application_properties={"kept": 1}))
    message = receive_one(doors.receiver("q"))
    doors.receiver("q").dead_letter_message(message, reason="unreadable", error_description="no such version")

    dead = receive_one(dead_letters(doors, "q"))

    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("unreadable", "no such version")
    assert dead.application_properties[b"kept"] == 1
    dead_letters(doors, "q").complete_message(dead)


def test_a_message_that_keeps_failing_is_dead_lettered(bus: BusThread, doors: Doors) -> None:
    doors.sender("twice").send_messages(ServiceBusMessage("poison"))
    for _ in range(2):
        doors.receiver("twice").abandon_message(receive_one(doors.receiver("twice")))
    assert (bus.counts("twice").active, bus.counts("twice").dead_letter) == (0, 1)

    dead = receive_one(dead_letters(doors, "twice"))

    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert dead.delivery_count == 2
    dead_letters(doors, "twice").complete_message(dead)


def test_a_deferred_message_comes_only_when_asked_for_by_number(bus: BusThread, doors: Doors) -> None:
    receiver = doors.receiver("q")
    doors.sender("q").send_messages([ServiceBusMessage("later"), ServiceBusMessage("now")])
    later, now = receive_one(receiver), receive_one(receiver)
    receiver.defer_message(later)
    receiver.complete_message(now)
    assert bus.counts("q").deferred == 1

    (deferred,) = receiver.receive_deferred_messages(later.sequence_number)

    assert text_of(deferred) == "later"
    receiver.complete_message(deferred)
    assert bus.counts("q").deferred == 0
    with pytest.raises(MessageNotFoundError):
        receiver.receive_deferred_messages(later.sequence_number)


def test_a_deferred_message_can_be_abandoned_and_dead_lettered(bus: BusThread, doors: Doors) -> None:
    receiver = doors.receiver("q")
    doors.sender("q").send_messages(ServiceBusMessage("deferred"))
    message = receive_one(receiver)
    receiver.defer_message(message)
    (deferred,) = receiver.receive_deferred_messages([message.sequence_number])
    receiver.abandon_message(deferred)
    assert bus.counts("q").deferred == 1

    (deferred,) = receiver.receive_deferred_messages([message.sequence_number])
    receiver.dead_letter_message(deferred, reason="late")

    dead = receive_one(dead_letters(doors, "q"))
    assert dead.dead_letter_reason == "late"
    dead_letters(doors, "q").complete_message(dead)


def test_a_message_comes_again_when_its_lock_has_expired(doors: Doors) -> None:
    receiver = doors.receiver("quick")
    doors.sender("quick").send_messages(ServiceBusMessage("slow"))
    first = receive_one(receiver)

    second = receive_one(receiver)

    assert (text_of(second), second.delivery_count) == ("slow", 1)
    with pytest.raises(MessageLockLostError):
        receiver.complete_message(first)
    receiver.complete_message(second)


def test_the_bus_itself_refuses_to_settle_under_a_lost_lock(doors: Doors) -> None:
    receiver = doors.receiver("quick")
    doors.sender("quick").send_messages(ServiceBusMessage("slow"))
    first = receive_one(receiver)
    keep_the_sdk_from_looking_at_its_clock(first)

    second = receive_one(receiver)

    with pytest.raises(MessageLockLostError):
        receiver.complete_message(first)
    receiver.complete_message(second)


def keep_the_sdk_from_looking_at_its_clock(message: ServiceBusReceivedMessage) -> None:
    """The SDK would refuse on its own, before it has asked the bus."""
    message._expiry = message.locked_until_utc.replace(year=9000)


def test_a_renewed_lock_outlives_its_first_end(bus: BusThread, doors: Doors) -> None:
    receiver = doors.receiver("quick")
    doors.sender("quick").send_messages(ServiceBusMessage("long"))
    message = receive_one(receiver)
    first_end = message.locked_until_utc

    for _ in range(4):
        assert not receiver.receive_messages(1, max_wait_time=0.4), "the message came again in spite of its lock"
        assert receiver.renew_message_lock(message) > first_end

    receiver.complete_message(message)
    assert bus.counts("quick").active == 0


def test_a_lost_lock_cannot_be_renewed(doors: Doors) -> None:
    receiver = doors.receiver("quick")
    doors.sender("quick").send_messages(ServiceBusMessage("lost"))
    first = receive_one(receiver)
    second = receive_one(receiver)

    with pytest.raises(MessageLockLostError):
        receiver.renew_message_lock(first)
    receiver.complete_message(second)


def test_the_sdks_lock_renewer_keeps_a_message_locked(bus: BusThread, doors: Doors) -> None:
    receiver = doors.receiver("quick")
    doors.sender("quick").send_messages(ServiceBusMessage("kept"))
    message = receive_one(receiver)
    with AutoLockRenewer(max_lock_renewal_duration=30) as renewer:
        renewer.register(receiver, message, max_lock_renewal_duration=30)
        first_end = message.locked_until_utc
        wait_until(lambda: (message.locked_until_utc - first_end).total_seconds() > 1.5)
        receiver.complete_message(message)
    assert message.auto_renew_error is None
    assert bus.counts("quick").active == 0


def test_closing_a_receiver_gives_back_what_it_prefetched(bus: BusThread, doors: Doors) -> None:
    doors.sender("q").send_messages([ServiceBusMessage(f"p{number}") for number in range(10)])
    with doors.client.get_queue_receiver("q", prefetch_count=10) as prefetching:
        prefetching.complete_message(receive_one(prefetching))

    rest = []
    while len(rest) < 9:
        rest.append(receive_one(doors.receiver("q")))
        doors.receiver("q").complete_message(rest[-1])

    assert [text_of(message) for message in rest] == [f"p{number}" for number in range(1, 10)]
    assert {message.delivery_count for message in rest} == {0}
    assert bus.counts("q").active == 0
