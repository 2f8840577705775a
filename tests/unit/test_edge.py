"""The edge turns errors into answers, and unreadable messages into parked ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import azure.functions as func
import pytest

from shared.domain.errors import Conflict, DomainError, MalformedMessage, NewerMessage, NotFound, TrustError
from shared.edge import queues
from shared.edge.answers import answer
from shared.edge.messages import Inbox, consume, consume_each
from shared.ports.bus import OutgoingMessage, Queue
from shared.ports.errors import Throttled, Unavailable, UnreadableRow
from shared.settings import SettingsError
from shared.wiring import Service


@dataclass
class MemoryParking:
    """Keeps what was parked."""

    parked: list[tuple[bytes, str]] = field(default_factory=list)

    def park(self, *, source: str, body: bytes, code: str, reason: str, session_id: str = "") -> None:
        self.parked.append((body, code))


@dataclass
class MemorySender:
    """Keeps what was sent."""

    sent: list[tuple[Queue, OutgoingMessage]] = field(default_factory=list)

    def send(self, queue: Queue, messages: Sequence[OutgoingMessage]) -> None:
        self.sent += [(queue, message) for message in messages]


class Message(func.ServiceBusMessage):
    """A queue message of which body, id, session and number of deliveries matter."""

    def __init__(self, body: bytes, *, deliveries: int = 1, properties: Mapping[str, str] | None = None) -> None:
        self._body = body
        self._deliveries = deliveries
        self._properties = dict(properties or {})

    @property
    def application_properties(self) -> dict[str, Any]:
        return self._properties

    def get_body(self) -> bytes:
        return self._body

    @property
    def delivery_count(self) -> int:
        return self._deliveries

    @property
    def message_id(self) -> str:
        return "step-7"

    @property
    def session_id(self) -> str:
        return "spring"


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def open_inbox() -> tuple[Inbox, MemoryParking, MemorySender]:
    parking, sender = MemoryParking(), MemorySender()
    return Inbox(queue=Queue.CAMPAIGN_STEPS, parking=parking, sender=sender, clock=lambda: NOW), parking, sender


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (DomainError("mend it", code="field_wrong"), 400, "field_wrong"),
        (TrustError("no"), 401, "not_trusted"),
        (NotFound("none"), 404, "not_found"),
        (Conflict("not now"), 409, "conflict"),
        (Throttled("slow", retry_after_s=7), 503, "throttled"),
        (Unavailable("down"), 503, "unavailable"),
        (UnreadableRow("newer"), 503, "unreadable_row"),
    ],
)
def test_each_kind_of_error_has_its_status(error: Exception, status: int, code: str) -> None:
    def fail() -> func.HttpResponse:
        raise error

    response = answer(fail)
    document = json.loads(response.get_body())

    assert response.status_code == document["status"] == status
    assert document["code"] == code
    assert response.mimetype == "application/problem+json"


def test_a_throttled_answer_says_when_to_come_back() -> None:
    def fail() -> func.HttpResponse:
        raise Throttled("slow", retry_after_s=7)

    assert answer(fail).headers["Retry-After"] == "7"


def test_an_outage_is_answered_without_the_words_of_the_vendor() -> None:
    def fail() -> func.HttpResponse:
        raise Unavailable("cannot reach secret-account.blob.example")

    assert b"secret-account" not in answer(fail).get_body()


def test_a_bug_is_not_dressed_up_as_an_answer() -> None:
    def fail() -> func.HttpResponse:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        answer(fail)


def read_number(body: bytes) -> int:
    if not body.isdigit():
        raise MalformedMessage("not a number")
    return int(body)


def test_an_unreadable_message_is_parked_and_the_others_are_handled() -> None:
    inbox, parking, _ = open_inbox()
    handled = list[int]()

    consume(inbox, [Message(b"1"), Message(b"x"), Message(b"3")], read=read_number, handle=handled.extend)

    assert handled == [1, 3]
    assert parking.parked == [(b"x", "malformed_message")]


def read_old_number(body: bytes) -> int:
    if body == b"new":
        raise NewerMessage("a version 2 message")
    return read_number(body)


def test_a_newer_message_waits_for_an_instance_that_knows_it_and_the_others_are_handled() -> None:
    inbox, parking, sender = open_inbox()
    handled = list[int]()

    consume(inbox, [Message(b"1"), Message(b"new"), Message(b"3")], read=read_old_number, handle=handled.extend)

    assert (handled, parking.parked) == ([1, 3], [])
    [(queue, again)] = sender.sent
    assert (queue, again.body, again.session_id) == (Queue.CAMPAIGN_STEPS, b"new", "spring")
    assert (again.enqueue_at, again.message_id == "step-7") == (NOW + timedelta(seconds=60), False)


def test_a_newer_message_is_not_multiplied_by_an_outage_that_brings_its_batch_back() -> None:
    inbox, parking, sender = open_inbox()

    with pytest.raises(Unavailable):
        consume(inbox, [Message(b"new"), Message(b"1")], read=read_old_number, handle=fail_for_an_outage)

    assert (sender.sent, parking.parked) == ([], [])


def test_a_newer_message_that_an_outage_puts_off_keeps_since_when_it_waits() -> None:
    inbox, _, sender = open_inbox()
    since = {"newer-since": "2025-12-31T12:00:00+00:00"}

    batch = [Message(b"new", deliveries=5, properties=since), Message(b"1", deliveries=5)]
    consume(inbox, batch, read=read_old_number, handle=fail_for_an_outage)

    again = {message.body: dict(message.properties) for _, message in sender.sent}
    assert (len(sender.sent), again) == (2, {b"new": since, b"1": {}})


def test_a_newer_message_is_parked_once_no_upgrade_can_last_that_long() -> None:
    inbox, parking, sender = open_inbox()
    looks = 0
    properties: Mapping[str, str] = {}

    while not parking.parked:
        at = NOW + timedelta(hours=looks)
        consume(
            replace(inbox, clock=partial(lambda at: at, at)),
            [Message(b"new", properties=properties)],
            read=read_old_number,
            handle=fail_for_an_outage,
        )
        properties, looks = sender.sent[-1][1].properties, looks + 1

    assert (looks, parking.parked) == (25, [(b"new", "newer_message")])
    assert len(sender.sent) == 24


def test_a_message_that_no_retry_can_mend_is_parked_alone() -> None:
    inbox, parking, _ = open_inbox()
    handled = list[int]()

    def handle(numbers: Sequence[int]) -> None:
        if 2 in numbers:
            raise DomainError("two is not allowed", code="two")
        handled.extend(numbers)

    consume(inbox, [Message(b"1"), Message(b"2"), Message(b"3")], read=read_number, handle=handle)

    assert handled == [1, 3]
    assert parking.parked == [(b"2", "two")]


def fail_at_two(handled: list[int], numbers: Sequence[int]) -> None:
    if 2 in numbers:
        raise UnreadableRow("the row of two")
    handled.extend(numbers)


def test_a_row_that_only_a_newer_version_can_read_holds_back_its_own_message_alone() -> None:
    inbox, parking, sender = open_inbox()
    handled = list[int]()

    consume(
        inbox, [Message(b"1"), Message(b"2"), Message(b"3")], read=read_number, handle=partial(fail_at_two, handled)
    )

    assert (handled, parking.parked) == ([1, 3], [])
    assert [(message.body, message.enqueue_at) for _, message in sender.sent] == [(b"2", NOW + timedelta(seconds=60))]


def test_a_message_alone_whose_row_a_newer_version_wrote_goes_back_to_the_host_for_another_instance() -> None:
    inbox, _, sender = open_inbox()

    with pytest.raises(UnreadableRow):
        consume(inbox, [Message(b"2")], read=read_number, handle=partial(fail_at_two, []))
    assert sender.sent == []


def fail_for_an_outage(_: object) -> None:
    raise Unavailable("down")


def test_an_outage_goes_back_to_the_host() -> None:
    inbox, parking, sender = open_inbox()

    with pytest.raises(Unavailable):
        consume(inbox, [Message(b"1")], read=read_number, handle=fail_for_an_outage)
    assert (parking.parked, sender.sent) == ([], [])


def test_an_outage_that_lasts_puts_the_message_off_long_before_the_queue_gives_it_up() -> None:
    inbox, parking, sender = open_inbox()

    consume_each(inbox, [Message(b"1", deliveries=5)], read=read_number, handle=fail_for_an_outage)

    assert parking.parked == []
    [(queue, again)] = sender.sent
    assert (queue, again.body, again.session_id) == (Queue.CAMPAIGN_STEPS, b"1", "spring")
    assert again.enqueue_at == NOW + timedelta(seconds=60)
    assert again.message_id != "step-7"


def test_fresh_messages_beside_an_old_one_do_not_use_up_its_deliveries() -> None:
    """A batch of a queue that goes on filling during an outage always has fresh ones in it."""
    inbox, parking, sender = open_inbox()

    consume(inbox, [Message(b"1", deliveries=9), Message(b"2")], read=read_number, handle=fail_for_an_outage)

    assert parking.parked == []
    assert [again.body for _, again in sender.sent] == [b"1", b"2"]


def broken_service() -> Service:
    raise SettingsError("HUB_TIER is nonsense; KEYS_URI is missing")


def test_while_settings_are_wrong_messages_are_sent_again_for_later_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sender = MemorySender()
    monkeypatch.setattr(queues, "service", broken_service)
    monkeypatch.setattr(queues, "stand_in_sender", lambda: sender)
    monkeypatch.setattr(queues, "utc_now", lambda: NOW)

    queues.take(Queue.INDEX_REQUESTS, [Message(b"1"), Message(b"x")], read=read_number, handle=fail_for_an_outage_of)
    queues.take_each(Queue.CAMPAIGN_STEPS, [Message(b"2")], read=read_number, handle=fail_for_an_outage_of)

    assert [(queue, again.body) for queue, again in sender.sent] == [
        (Queue.INDEX_REQUESTS, b"1"),
        (Queue.INDEX_REQUESTS, b"x"),
        (Queue.CAMPAIGN_STEPS, b"2"),
    ]
    assert {again.enqueue_at for _, again in sender.sent} == {NOW + timedelta(seconds=queues.MEND_S)}
    assert {again.session_id for _, again in sender.sent} == {"spring"}
    assert "HUB_TIER is nonsense; KEYS_URI is missing" in caplog.text


def test_a_message_that_cannot_even_be_sent_again_goes_back_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(MemorySender):
        def send(self, queue: Queue, messages: Sequence[OutgoingMessage]) -> None:
            raise Unavailable("no")

    monkeypatch.setattr(queues, "service", broken_service)
    monkeypatch.setattr(queues, "stand_in_sender", Deaf)
    with pytest.raises(Unavailable):
        queues.take_each(Queue.CAMPAIGN_STEPS, [Message(b"2")], read=read_number, handle=fail_for_an_outage_of)


def fail_for_an_outage_of(_: Service, __: object) -> None:
    raise Unavailable("down")
