"""The life of a message, told by moving a clock."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emulator.bus import NamespaceConfig, QueueConfig
from emulator.bus.amqp.outcomes import Settlement, Verdict
from emulator.bus.amqp.sections import Content, Header
from emulator.bus.errors import BusError
from emulator.bus.store.message import StoredMessage
from emulator.bus.store.queue import MessageQueue
from emulator.bus.store.store import BusStore


class Clock:
    """Stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def store_with(clock: Clock, **settings: Any) -> BusStore:
    return BusStore(NamespaceConfig(queues=(QueueConfig(name="q", **settings),)), clock)


def content(body: str = "", *, session: str | None = None, id: str | None = None, ttl_ms: int | None = None) -> Content:
    return Content(body=body.encode(), session_id=session, message_id=id, header=Header(ttl_ms=ttl_ms))


def token_of(message: StoredMessage | None) -> Any:
    assert message is not None
    assert message.lock is not None
    return message.lock.token


def settle(queue: MessageQueue, message: StoredMessage | None, settlement: Settlement) -> None:
    queue.settle(token_of(message), Verdict(settlement=settlement))


def test_a_lock_ends_just_when_it_should(clock: Clock) -> None:
    queue = store_with(clock, lock_s=60).queue("q")
    queue.send(content())
    token = token_of(queue.acquire())

    clock.now += 59.999
    assert queue.acquire() is None
    clock.now += 0.001
    again = queue.acquire()

    assert again is not None
    assert again.delivery_count == 1
    with pytest.raises(BusError, match="message-lock-lost"):
        queue.settle(token, Verdict(settlement=Settlement.COMPLETE))


def test_a_renewed_lock_ends_later(clock: Clock) -> None:
    queue = store_with(clock, lock_s=60).queue("q")
    queue.send(content())
    token = token_of(queue.acquire())
    clock.now += 59
    assert queue.renew(token) == clock.now + 60

    clock.now += 59
    assert queue.acquire() is None
    clock.now += 1
    assert queue.acquire() is not None


def test_locks_that_keep_expiring_end_in_the_dead_letter_queue(clock: Clock) -> None:
    store = store_with(clock, lock_s=60, max_delivery_count=3)
    queue = store.queue("q")
    queue.send(content())

    for _ in range(3):
        assert queue.acquire() is not None
        clock.now += 60

    assert queue.acquire() is None
    (dead,) = store.queue("q/$DeadLetterQueue").messages.values()
    assert dead.content.application_properties.get("DeadLetterReason") == "MaxDeliveryCountExceeded"
    assert dead.delivery_count == 3


def test_dead_letters_are_given_up_by_nobody(clock: Clock) -> None:
    store = store_with(clock, max_delivery_count=1, default_ttl_s=3600)
    queue, dead = store.queue("q"), store.queue("q/$deadletterqueue")
    queue.send(content())
    settle(queue, queue.acquire(), Settlement.ABANDON)

    for _ in range(50):
        settle(dead, dead.acquire(), Settlement.ABANDON)
    clock.now += 1e9

    assert store.counts()["q"].dead_letter == 1


def test_releasing_is_no_failure(clock: Clock) -> None:
    queue = store_with(clock, max_delivery_count=1).queue("q")
    queue.send(content())
    settle(queue, queue.acquire(), Settlement.RELEASE)

    again = queue.acquire()

    assert again is not None
    assert again.delivery_count == 0


def test_a_message_given_back_goes_before_those_sent_after_it(clock: Clock) -> None:
    queue = store_with(clock).queue("q")
    first, second = queue.send(content()), queue.send(content())
    held = queue.acquire()
    settle(queue, held, Settlement.ABANDON)

    assert [message.sequence for message in (queue.acquire(), queue.acquire()) if message] == [first, second]


def test_a_message_expires_in_the_queue_but_not_under_a_lock(clock: Clock) -> None:
    store = store_with(clock, lock_s=60, dead_letter_on_expiry=True)
    queue = store.queue("q")
    queue.send(content(ttl_ms=10_000))
    queue.send(content(ttl_ms=10_000))
    held = queue.acquire()

    clock.now += 10
    assert queue.acquire() is None
    assert (store.counts()["q"].active, store.counts()["q"].dead_letter) == (1, 1)
    settle(queue, held, Settlement.ABANDON)

    assert (store.counts()["q"].active, store.counts()["q"].dead_letter) == (0, 2)


def test_a_deferred_message_outlives_its_time(clock: Clock) -> None:
    queue = store_with(clock).queue("q")
    number = queue.send(content(ttl_ms=10_000))
    settle(queue, queue.acquire(), Settlement.DEFER)

    clock.now += 100

    (deferred,) = queue.acquire_deferred([number], None)
    settle(queue, deferred, Settlement.COMPLETE)


def test_a_deferred_message_whose_lock_expires_is_deferred_again(clock: Clock) -> None:
    queue = store_with(clock, lock_s=60).queue("q")
    number = queue.send(content())
    settle(queue, queue.acquire(), Settlement.DEFER)
    queue.acquire_deferred([number], None)
    with pytest.raises(BusError, match="message-not-found"):
        queue.acquire_deferred([number], None)

    clock.now += 60

    assert queue.acquire() is None
    assert len(queue.acquire_deferred([number], None)) == 1


def test_a_scheduled_messages_life_begins_when_it_becomes_active(clock: Clock) -> None:
    store = store_with(clock)
    queue = store.queue("q")
    scheduled = queue.send(content(ttl_ms=10_000), scheduled_for=clock.now + 100)
    assert (queue.acquire(), queue.next_due_at()) == (None, clock.now + 100)

    clock.now += 100
    queue.advance()
    (active,) = queue.messages.values()
    assert active.sequence > scheduled
    assert active.expires_at == clock.now + 10

    clock.now += 10
    assert queue.acquire() is None


def test_a_time_in_the_past_means_now(clock: Clock) -> None:
    queue = store_with(clock).queue("q")
    queue.send(content(), scheduled_for=clock.now - 5)

    assert queue.acquire() is not None


def test_duplicates_are_dropped_within_the_window_scheduled_ones_too(clock: Clock) -> None:
    store = store_with(clock, requires_duplicate_detection=True, duplicate_window_s=600)
    queue = store.queue("q")
    queue.send(content(id="x"), scheduled_for=clock.now + 1000)
    queue.send(content(id="x"))
    queue.send(content())
    queue.send(content())
    assert (store.counts()["q"].scheduled, store.counts()["q"].active) == (1, 2)

    clock.now += 600
    queue.send(content(id="x"))

    assert store.counts()["q"].active == 3


def test_a_session_lock_that_expires_counts_and_a_closed_one_does_not(clock: Clock) -> None:
    queue = store_with(clock, requires_session=True, lock_s=60).queue("q")
    queue.send(content(session="s"))
    closed = queue.accept_session(None)
    assert closed is not None
    queue.acquire(closed)
    queue.close_session(closed)
    held = queue.accept_session("s")
    assert held is not None
    message = queue.acquire(held)
    assert message is not None
    assert message.delivery_count == 0

    clock.now += 60
    with pytest.raises(BusError, match="session-lock-lost"):
        queue.renew_session("s")
    heir = queue.accept_session(None)

    assert heir is not None
    assert not queue.sessions.holds(held)
    again = queue.acquire(heir)
    assert again is not None
    assert again.delivery_count == 1


def test_a_session_without_messages_is_not_offered_but_can_be_named(clock: Clock) -> None:
    queue = store_with(clock, requires_session=True).queue("q")

    assert queue.accept_session(None) is None
    assert queue.accept_session("empty") is not None
    with pytest.raises(BusError, match="session-cannot-be-locked"):
        queue.accept_session("empty")


def test_the_message_lock_of_a_session_cannot_be_renewed_alone(clock: Clock) -> None:
    queue = store_with(clock, requires_session=True).queue("q")
    queue.send(content(session="s"))
    message = queue.acquire(queue.accept_session("s"))

    with pytest.raises(BusError, match="not-allowed"):
        queue.renew(token_of(message))


def test_what_forwarding_cannot_deliver_is_dead_lettered_at_the_source(clock: Clock) -> None:
    queues = (QueueConfig(name="from", forward_to="to"), QueueConfig(name="to", requires_session=True))
    store = BusStore(NamespaceConfig(queues=queues), clock)

    store.queue("from").send(content())

    assert store.counts()["from"].dead_letter == 1
    assert store.counts()["to"].active == 0


def test_entries_that_no_longer_matter_do_not_pile_up(clock: Clock) -> None:
    queue = store_with(clock, default_ttl_s=1e6, lock_s=60).queue("q")

    for _ in range(5000):
        queue.send(content())
        settle(queue, queue.acquire(), Settlement.COMPLETE)

    assert len(queue._agenda._entries) < 2500


class QueueMachine(RuleBasedStateMachine):
    """Whatever receivers do and whenever locks expire, each message is in exactly one place."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = store_with(self.clock, lock_s=60, max_delivery_count=3)
        self.queue = self.store.queue("q")
        self.sent = 0
        self.completed = 0
        self.held: list[Any] = []

    @rule()
    def send_one(self) -> None:
        self.queue.send(content())
        self.sent += 1

    @rule(delay=st.integers(1, 200))
    def schedule_one(self, delay: int) -> None:
        self.queue.send(content(), scheduled_for=self.clock.now + delay)
        self.sent += 1

    @rule()
    def receive_one(self) -> None:
        message = self.queue.acquire()
        if message is not None:
            self.held.append(token_of(message))

    @precondition(lambda self: self.held)
    @rule(settlement=st.sampled_from([one for one in Settlement if one is not Settlement.DEFER]), data=st.data())
    def settle_one(self, settlement: Settlement, data: st.DataObject) -> None:
        token = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        try:
            self.queue.settle(token, Verdict(settlement=settlement))
        except BusError as error:
            assert error.condition == "com.microsoft:message-lock-lost"
        else:
            self.completed += settlement is Settlement.COMPLETE

    @rule(seconds=st.integers(1, 100))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.now += seconds

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        counts = self.store.counts()["q"]
        assert counts.active + counts.scheduled + counts.dead_letter + self.completed == self.sent

    @invariant()
    def nobody_failed_more_often_than_allowed(self) -> None:
        assert all(message.delivery_count < 3 for message in self.queue.messages.values())

    def teardown(self) -> None:
        self.clock.now += 1000
        while (message := self.queue.acquire()) is not None:
            settle(self.queue, message, Settlement.COMPLETE)
            self.completed += 1
        assert self.store.counts()["q"].dead_letter + self.completed == self.sent


QueueMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40)
TestQueueMachine = QueueMachine.TestCase


def test_an_unknown_lock_is_a_lost_lock(clock: Clock) -> None:
    queue = store_with(clock).queue("q")
    with pytest.raises(BusError, match="message-lock-lost"):
        queue.settle(uuid4(), Verdict(settlement=Settlement.COMPLETE))
