"""Credit, windows, heartbeats and clients that misbehave: what the SDK never shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.servicebus import ServiceBusMessage

from emulator.bus import QueueConfig
from emulator.bus.amqp.performatives import Attach, Begin, Close, Detach, Flow, Transfer
from emulator.bus.amqp.types import Described, Ulong
from tests.support.amqp_client import SESSION_FILTER, BareClient
from tests.support.bus import BusThread, Doors, open_doors, running_bus
from tests.support.waiting import wait_until

QUEUES = (
    "credit",
    "drain",
    "window",
    "vanish",
)


@pytest.fixture(scope="module")
def bus() -> Iterator[BusThread]:
    plain = [QueueConfig(name=name, lock_s=2.0) for name in QUEUES]
    with running_bus(*plain, QueueConfig(name="s", requires_session=True, lock_s=2.0)) as running:
        yield running


@pytest.fixture(scope="module")
def doors(bus: BusThread) -> Iterator[Doors]:
    with open_doors(bus) as opened:
        yield opened


@pytest.fixture
def client(bus: BusThread) -> Iterator[BareClient]:
    with BareClient(bus) as connected:
        connected.authorise()
        yield connected


def fill(doors: Doors, queue: str, count: int) -> None:
    doors.sender(queue).send_messages([ServiceBusMessage(f"{number}") for number in range(count)])


def test_no_more_messages_come_than_credit_was_given(client: BareClient, doors: Doors) -> None:
    fill(doors, "credit", 5)
    client.attach(1, source="credit")

    client.grant(1, credit=2)
    assert [client.next_of(Transfer).delivery_id for _ in range(2)] == [1, 2]
    answer = client.next_of(Flow)
    assert (answer.delivery_count, answer.link_credit) == (2, 0)

    client.grant(1, credit=1, received=2)
    assert client.next_of(Transfer).delivery_id == 3
    assert client.next_of(Flow).delivery_count == 3


def test_draining_sends_what_there_is_and_uses_up_the_rest(client: BareClient, doors: Doors) -> None:
    fill(doors, "drain", 1)
    client.attach(1, source="drain")

    client.grant(1, credit=10, drain=True)

    client.next_of(Transfer)
    answer = client.next_of(Flow)
    assert (answer.drain, answer.delivery_count, answer.link_credit) == (True, 10, 0)


def test_a_full_window_holds_messages_back(client: BareClient, bus: BusThread, doors: Doors) -> None:
    fill(doors, "window", 3)
    client.attach(1, source="window")

    client.grant(1, credit=10, window=1)
    client.next_of(Transfer)
    assert client.next_of(Flow).link_credit == 9

    client.grant(1, credit=9, received=1, window=10)
    client.next_of(Transfer)
    client.next_of(Transfer)


def test_a_vanished_clients_link_goes_at_once_and_its_lock_by_expiry(bus: BusThread, doors: Doors) -> None:
    fill(doors, "vanish", 1)
    with BareClient(bus) as client:
        client.authorise()
        client.attach(1, source="vanish")
        client.grant(1, credit=1)
        client.next_of(Transfer)
    wait_until(lambda: bus.look(lambda server: server.receivers("vanish")) == 0)

    with BareClient(bus) as heir:
        heir.authorise()
        heir.attach(1, source="vanish")
        heir.grant(1, credit=1)
        assert heir.next_of(Flow).link_credit == 1, "the lock was released before its end"
        heir.next_of(Transfer)


def test_a_vanished_clients_session_is_free_when_its_lock_has_expired(bus: BusThread) -> None:
    wanted = {SESSION_FILTER: "mine"}
    with BareClient(bus) as client:
        client.authorise()
        assert client.attach(1, source="s", filters=wanted).source is not None

    with BareClient(bus) as heir:
        heir.authorise()
        assert heir.attach(1, source="s", filters=wanted).source is None, "the session was free at once"
        assert heir.next_of(Detach).error.value[0] == "com.microsoft:session-cannot-be-locked"

        handles = iter(range(2, 1000))
        wait_until(lambda: heir.attach(next(handles), source="s", filters=wanted).source is not None)


def test_a_link_without_a_token_is_refused(bus: BusThread) -> None:
    with BareClient(bus) as client:
        assert client.attach(1, source="credit").source is None
        assert client.next_of(Detach).error.value[0] == "amqp:unauthorized-access"


def test_a_transaction_coordinator_is_refused(client: BareClient) -> None:
    client.send(
        Attach(
            name="t",
            handle=5,
            source=Described(Ulong(0x28), []),
            target=Described(Ulong(0x30), []),
            initial_delivery_count=0,
        )
    )

    assert client.next_of(Detach).error.value[0] == "amqp:not-implemented"


def test_a_client_that_asks_for_heartbeats_gets_them(bus: BusThread) -> None:
    with BareClient(bus, idle_timeout_ms=100) as client:
        for _ in range(3):
            client.next_heartbeat()


def test_a_silent_client_is_dropped_and_one_that_beats_is_not() -> None:
    with running_bus(QueueConfig(name="q"), idle_timeout_s=0.2) as bus, BareClient(bus) as client:
        with BareClient(bus, idle_timeout_ms=100) as lively:
            for _ in range(12):
                lively.next_heartbeat()
                lively.beat()
        (last,) = client.rest()

    assert isinstance(last, Close)
    assert last.error.value[0] == "amqp:connection:forced"


@pytest.mark.parametrize(
    ("nonsense", "condition"),
    [
        (b"GET / HTTP/1.1\r\nHost: bus\r\n\r\n", "amqp:connection:framing-error"),
        (b"\x00\x00\x00\x0c\x02\x00\x00\x00\xff\xff\xff\xff", "amqp:decode-error"),
        (b"\x00\x00\x00\x0c\x02\x00\x00\x07\x00\x53\x17\x45", "amqp:illegal-state"),
    ],
    ids=["not amqp", "not a performative", "no such session"],
)
def test_nonsense_is_answered_with_its_cause_and_the_door(bus: BusThread, nonsense: bytes, condition: str) -> None:
    with BareClient(bus) as client:
        client.send_raw(nonsense)
        last = client.rest()[-1]

    assert isinstance(last, Close)
    assert last.error.value[0] == condition


def test_a_transfer_on_a_handle_nobody_attached_is_an_error(bus: BusThread) -> None:
    with BareClient(bus) as client:
        client.send(Transfer(handle=77, delivery_id=0, delivery_tag=b"0"), b"")
        assert client.next_of(Close).error.value[0] == "amqp:session:unattached-handle"


def test_two_sessions_live_side_by_side(client: BareClient) -> None:
    client.send(Begin(incoming_window=10, outgoing_window=10), channel=4)

    assert client.next_of(Begin).remote_channel == 4
