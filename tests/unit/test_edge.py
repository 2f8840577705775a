"""The edge turns errors into answers, and unreadable messages into parked ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import azure.functions as func
import pytest

from shared.domain.errors import Conflict, DomainError, MalformedMessage, NotFound, TrustError
from shared.edge.answers import answer
from shared.edge.messages import consume
from shared.ports.errors import Throttled, Unavailable


@dataclass
class MemoryParking:
    """Keeps what was parked."""

    parked: list[tuple[bytes, str]] = field(default_factory=list)

    def park(self, *, source: str, body: bytes, code: str, reason: str) -> None:
        self.parked.append((body, code))


class Message(func.ServiceBusMessage):
    """A queue message of which only the body matters."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def get_body(self) -> bytes:
        return self._body


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (DomainError("mend it", code="field_wrong"), 400, "field_wrong"),
        (TrustError("no"), 401, "not_trusted"),
        (NotFound("none"), 404, "not_found"),
        (Conflict("not now"), 409, "conflict"),
        (Throttled("slow", retry_after_s=7), 503, "throttled"),
        (Unavailable("down"), 503, "unavailable"),
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
    parking, handled = MemoryParking(), list[int]()

    consume(
        "numbers",
        [Message(b"1"), Message(b"x"), Message(b"3")],
        read=read_number,
        handle=handled.extend,
        parking=parking,
    )

    assert handled == [1, 3]
    assert parking.parked == [(b"x", "malformed_message")]


def test_a_message_that_no_retry_can_mend_is_parked_alone() -> None:
    parking, handled = MemoryParking(), list[int]()

    def handle(numbers: Sequence[int]) -> None:
        if 2 in numbers:
            raise DomainError("two is not allowed", code="two")
        handled.extend(numbers)

    messages = [Message(b"1"), Message(b"2"), Message(b"3")]
    consume("numbers", messages, read=read_number, handle=handle, parking=parking)

    assert handled == [1, 3]
    assert parking.parked == [(b"2", "two")]


def test_an_outage_goes_back_to_the_host() -> None:
    parking = MemoryParking()

    def handle(numbers: Sequence[int]) -> None:
        raise Unavailable("down")

    with pytest.raises(Unavailable):
        consume("numbers", [Message(b"1")], read=read_number, handle=handle, parking=parking)
    assert parking.parked == []
