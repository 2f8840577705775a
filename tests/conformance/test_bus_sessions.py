"""Sessions: one receiver each, in order, with a state of their own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, AutoLockRenewer, ServiceBusMessage, ServiceBusReceiver
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from emulator.bus import QueueConfig
from tests.support.bus import BusThread, Doors, open_doors, receive_one, running_bus, text_of
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def bus() -> Iterator[BusThread]:
    with running_bus(
        QueueConfig(name="q", requires_session=True),
        QueueConfig(name="quick", requires_session=True, lock_s=1.0),
        QueueConfig(name="next", requires_session=True),
        QueueConfig(name="plain"),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def doors(bus: BusThread) -> Iterator[Doors]:
    with open_doors(bus) as opened:
        yield opened


def send(doors: Doors, queue: str, session_id: str, *bodies: str) -> None:
    doors.sender(queue).send_messages([ServiceBusMessage(body, session_id=session_id) for body in bodies])


def opened(doors: Doors, queue: str, session_id: object, **options: float) -> ServiceBusReceiver:
    """A receiver to close at once; `Doors.session` keeps its own open, which is quicker."""
    return doors.client.get_queue_receiver(queue, session_id=session_id, **options)


def test_a_session_comes_in_the_order_sent_and_without_others(doors: Doors) -> None:
    send(doors, "q", "a", "a1", "a2", "a3")
    send(doors, "q", "b", "b1")

    receiver = doors.session("q", "a")
    got = [receive_one(receiver) for _ in range(3)]
    assert [text_of(message) for message in got] == ["a1", "a2", "a3"]
    assert {message.session_id for message in got} == {"a"}
    assert not receiver.receive_messages(1, max_wait_time=0.3)
    for message in got:
        receiver.complete_message(message)


def test_an_abandoned_message_keeps_its_place(doors: Doors) -> None:
    send(doors, "q", "order", "1", "2")

    receiver = doors.session("q", "order")
    receiver.abandon_message(receive_one(receiver))
    got = [receive_one(receiver), receive_one(receiver)]

    assert [(text_of(message), message.delivery_count) for message in got] == [("1", 1), ("2", 0)]
    for message in got:
        receiver.complete_message(message)


def test_a_message_without_a_session_is_refused(doors: Doors) -> None:
    with pytest.raises(ServiceBusError, match="amqp:not-allowed"):
        doors.sender("q").send_messages(ServiceBusMessage("where to?"))


def test_a_batch_with_one_bad_message_leaves_nothing_behind(bus: BusThread, doors: Doors) -> None:
    before = bus.counts("q").active
    with pytest.raises(ServiceBusError, match="amqp:not-allowed"):
        doors.sender("q").send_messages([ServiceBusMessage("a", session_id="s"), ServiceBusMessage("b")])

    assert bus.counts("q").active == before


def test_a_queue_with_sessions_has_no_receiver_without(doors: Doors) -> None:
    with pytest.raises(ServiceBusError, match="requires sessions"):
        doors.client.get_queue_receiver("q").receive_messages(1, max_wait_time=1)


def test_a_queue_without_sessions_has_no_session_receiver(doors: Doors) -> None:
    with pytest.raises(ServiceBusError, match="has no sessions"):
        opened(doors, "plain", "s").receive_messages(1, max_wait_time=1)


def test_the_next_available_session_is_the_one_that_waits_longest(doors: Doors) -> None:
    send(doors, "next", "first", "1")
    send(doors, "next", "second", "2")

    one = doors.session("next", NEXT_AVAILABLE_SESSION, max_wait_time=5)
    two = doors.session("next", NEXT_AVAILABLE_SESSION, max_wait_time=5)

    assert (one.session.session_id, two.session.session_id) == ("first", "second")
    one.complete_message(receive_one(one))
    two.complete_message(receive_one(two))


def test_waiting_for_a_session_ends_when_one_appears(bus: BusThread, doors: Doors) -> None:
    def receive() -> str:
        receiver = doors.session("next", NEXT_AVAILABLE_SESSION, max_wait_time=10)
        message = receive_one(receiver)
        receiver.complete_message(message)
        return text_of(message)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(receive)
        wait_until(lambda: bus.look(lambda server: server.waiting_for_sessions("next")) == 1)
        send(doors, "next", "late", "here")
        assert waiting.result(10) == "here"


def test_waiting_for_a_session_times_out_when_none_appears(doors: Doors) -> None:
    receiver = opened(doors, "next", NEXT_AVAILABLE_SESSION, max_wait_time=1)

    with pytest.raises(OperationTimeoutError):
        receiver.receive_messages(1)


def test_a_session_belongs_to_one_receiver_until_it_closes(doors: Doors) -> None:
    with opened(doors, "q", "mine"), pytest.raises(SessionCannotBeLockedError):
        opened(doors, "q", "mine").receive_messages(1, max_wait_time=1)

    with opened(doors, "q", "mine") as again:
        assert again.session.session_id == "mine"


def test_closing_a_session_gives_its_messages_back_uncounted(doors: Doors) -> None:
    send(doors, "q", "closed", "m")
    with opened(doors, "q", "closed") as receiver:
        receive_one(receiver)

    with opened(doors, "q", "closed") as receiver:
        message = receive_one(receiver)
        assert message.delivery_count == 0
        receiver.complete_message(message)


def test_a_session_lock_that_expires_is_lost_and_counts_as_a_failure(doors: Doors) -> None:
    send(doors, "quick", "slow", "m")
    slow = doors.session("quick", "slow")
    message = receive_one(slow)
    heir = doors.session("quick", NEXT_AVAILABLE_SESSION, max_wait_time=10)
    again = receive_one(heir)
    assert (text_of(again), again.delivery_count) == ("m", 1)
    heir.complete_message(again)
    with pytest.raises(SessionLockLostError):
        slow.complete_message(message)


def test_a_renewed_session_lock_is_kept(doors: Doors) -> None:
    send(doors, "quick", "kept", "m")
    receiver = doors.session("quick", "kept")
    first_end = receiver.session.locked_until_utc
    message = receive_one(receiver)
    for _ in range(4):
        assert not receiver.receive_messages(1, max_wait_time=0.4)
        assert receiver.session.renew_lock() > first_end
    receiver.complete_message(message)


def test_the_sdks_lock_renewer_keeps_a_session(doors: Doors) -> None:
    send(doors, "quick", "auto", "m")
    receiver = doors.session("quick", "auto")
    with AutoLockRenewer() as renewer:
        renewer.register(receiver, receiver.session, max_lock_renewal_duration=30)
        first_end = receiver.session.locked_until_utc
        message = receive_one(receiver)
        wait_until(lambda: receiver.session.locked_until_utc - first_end > timedelta(seconds=1.5))
        receiver.complete_message(message)


def test_a_sessions_state_outlives_its_receiver(doors: Doors) -> None:
    with opened(doors, "q", "stateful") as receiver:
        assert receiver.session.get_state() is None
        receiver.session.set_state(b"\x00step 3")

    with opened(doors, "q", "stateful") as receiver:
        assert receiver.session.get_state() == b"\x00step 3"
        receiver.session.set_state(None)
        assert receiver.session.get_state() is None


def test_a_deferred_message_of_a_session_is_asked_for_within_it(doors: Doors) -> None:
    send(doors, "q", "defer", "m")
    receiver = doors.session("q", "defer")
    message = receive_one(receiver)
    receiver.defer_message(message)
    (deferred,) = receiver.receive_deferred_messages(message.sequence_number)
    assert text_of(deferred) == "m"
    receiver.complete_message(deferred)


def test_sessions_can_be_listed(doors: Doors) -> None:
    send(doors, "q", "listed", "m")
    receiver = doors.session("q", "listed")
    assert "listed" in list(doors.client.list_queue_sessions("q"))
    receiver.complete_message(receive_one(receiver))


def test_who_lost_a_session_can_neither_renew_nor_write_what_another_holds(bus: BusThread, doors: Doors) -> None:
    send(doors, "quick", "contested", "1")
    first = doors.session("quick", "contested")
    first.session.set_state(b"of the first")
    wait_until(lambda: bus.look(lambda server: server.store.queue("quick").sessions.find("contested")) is None)
    second = doors.session("quick", "contested")
    with AutoLockRenewer() as renewer:
        renewer.register(second, second.session, max_lock_renewal_duration=30)
        # The SDK would refuse by its own clock, before it asks.
        first.session._locked_until_utc = None
        for attempt in (
            first.session.renew_lock,
            first.session.get_state,
            lambda: first.session.set_state(b"of the first, late"),
        ):
            with pytest.raises(SessionLockLostError):
                attempt()
        assert second.session.get_state() == b"of the first"
