"""When a device registers, what it makes of the answers, and what it remembers of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.enrolled_channel import EnrolledChannel
from agent.adapters.iot_hub import HubAddress
from agent.backoff import Backoff
from agent.enrolment import protocol
from agent.enrolment.assignment_file import AssignmentFile, make_assignment
from agent.enrolment.enroller import LONGEST_PUT_OFF_S, Enroller, EnrolManner
from agent.enrolment.protocol import Answer, Assigning
from agent.inbox import Inbox
from agent.ports import (
    Assignment,
    ChannelDown,
    ChannelUnauthorized,
    OutsideError,
    Reassigned,
    RegistrationPutOff,
    RegistrationRefused,
    StopRequested,
)
from shared.domain.enrolment import derive_device_key, registration_id
from shared.domain.errors import InvalidId
from shared.domain.ids import DeviceId
from tests.support.agent import FakeHub, MovedClock

HERE = Assignment(hub="one.example", device=DeviceId("dev-1"))
THERE = Assignment(hub="two.example", device=DeviceId("dev-1"))
OTHER = Assignment(hub="one.example", device=DeviceId("dev-2"))
MANNER = EnrolManner(backoff=Backoff(initial_s=30, longest_s=3600), refusals=3, unreachable_s=600)
AS = ("0ne", "dev-1")


class Time(MovedClock):
    """A clock that stands until somebody moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.at_s = 1000.0

    def monotonic_s(self) -> float:
        return self.at_s


class FakeService:
    """Answers registrations from a list; the last answer for ever."""

    def __init__(self, *answers: Assignment | OutsideError) -> None:
        self.answers = list(answers)
        self.asked = 0

    def register(self) -> Assignment:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OutsideError):
            raise answer
        return answer


class MovableHub(FakeHub):
    """A hub of which one can be told to connect elsewhere; ``refuses`` holds hosts that do not know the device."""

    def __init__(self, *refuses: str) -> None:
        super().__init__()
        self.refuses = set(refuses)
        self.host = HERE.hub

    def move(self, address: HubAddress) -> None:
        self.host = address.connection_string

    def open(self, on_event: Callable[[Any], None]) -> int:
        if self.host in self.refuses:
            raise ChannelUnauthorized("refused")
        return super().open(on_event)


def enroller(folder: Path, service: FakeService, time: Time) -> Enroller:
    return Enroller(service, AssignmentFile(folder / "assignment.json", AS), time, MANNER)


def channel(hub: MovableHub, enrolling: Enroller) -> EnrolledChannel:
    return EnrolledChannel(hub, enrolling, HERE.device, lambda one: HubAddress(connection_string=one.hub))


def knock(link: EnrolledChannel, times: int) -> list[str]:
    """What came of trying to connect so many times."""
    seen = []
    for _ in range(times):
        try:
            link.open(lambda _: None)
        except ChannelDown as error:
            seen.append(type(error).__name__)
        else:
            seen.append("open")
    return seen


def test_a_key_is_derived_as_the_documents_derive_it() -> None:
    group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
    assert derive_device_key(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6") == (
        "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
    )


@pytest.mark.parametrize("text", ["", "a b", "dev.", "ü", "x" * 129, "a/b", "a\n"])
def test_what_is_no_registration_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        registration_id(text)


@pytest.mark.parametrize("key", ["", "c2hvcnQ=", "no base64 at all!", "QUJD" * 40])
def test_what_is_no_key_is_refused_and_not_told(key: str) -> None:
    with pytest.raises(InvalidId) as refusal:
        derive_device_key(key, "dev-1")
    assert not key or key not in refusal.value.message


def answer(status: int, body: dict[str, Any], query: str = "") -> Answer:
    return protocol.read_answer(f"$dps/registrations/res/{status}/?$rid=7{query}", json.dumps(body).encode())


def test_answers_are_read_with_the_wait_they_ask_for() -> None:
    assigning = answer(202, {"operationId": "4.a", "status": "assigning"}, "&retry-after=3")
    assert protocol.read_outcome(assigning) == Assigning(operation="4.a", wait_s=3.0)
    endless = answer(202, {"operationId": "4.a", "status": "assigning"}, "&retry-after=99999")
    assert protocol.read_outcome(endless) == Assigning(operation="4.a", wait_s=protocol.LONGEST_POLL_S)
    silent = answer(202, {"operationId": "4.a", "status": "assigning"})
    assert protocol.read_outcome(silent) == Assigning(operation="4.a", wait_s=protocol.DEFAULT_POLL_S)
    state = {"assignedHub": "one.example", "deviceId": "dev-1"}
    assert protocol.read_outcome(answer(200, {"status": "assigned", "registrationState": state})) == HERE


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (429, {"errorCode": 429001, "message": "Too many requests"}, RegistrationPutOff, "429001 Too many requests"),
        (500, {}, RegistrationPutOff, "500"),
        (401, {"errorCode": 401002, "message": "Unauthorized"}, RegistrationRefused, "401002 Unauthorized"),
        (404, {}, RegistrationRefused, "404"),
        (200, {"status": "disabled"}, RegistrationRefused, "disabled"),
        (
            200,
            {"status": "failed", "registrationState": {"errorCode": 400209, "errorMessage": "no hub"}},
            RegistrationRefused,
            "failed 400209 no hub",
        ),
        (200, {"status": "assigned"}, ChannelDown, "cannot be used"),
        (200, {"status": "assigned", "registrationState": {"assignedHub": "one.example"}}, ChannelDown, "device"),
        (200, {"status": "assigned", "registrationState": "yes"}, ChannelDown, "cannot be used"),
    ],
)
def test_each_refusal_says_what_a_retry_can_do_and_what_the_service_said(
    status: int, body: dict[str, Any], kind: type[OutsideError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        protocol.read_outcome(answer(status, body))


def test_a_put_off_carries_the_seconds() -> None:
    with pytest.raises(RegistrationPutOff) as put_off:
        protocol.read_outcome(answer(429, {}, "&retry-after=12"))
    assert put_off.value.retry_after_s == 12


@given(topic=st.text(max_size=60), payload=st.binary(max_size=60))
def test_no_message_breaks_the_agent(topic: str, payload: bytes) -> None:
    for each in (topic, f"$dps/registrations/res/{topic}", f"$dps/registrations/res/202/?$rid=1&retry-after={topic}"):
        with contextlib.suppress(ChannelDown, RegistrationPutOff, RegistrationRefused):
            protocol.read_outcome(protocol.read_answer(each, payload))


@pytest.mark.parametrize(
    "hub", ["", None, 7, "evil.example;GatewayHostName=evil.example", "a/b", "host:443", "-a", "a" * 300, "x\n"]
)
def test_a_host_that_is_none_never_gets_into_a_connection_string(hub: object) -> None:
    with pytest.raises(ValueError, match="host name"):
        make_assignment(hub, "dev-1")
    with pytest.raises(ChannelDown):
        state = {"assignedHub": hub, "deviceId": "dev-1"}
        protocol.read_outcome(answer(200, {"status": "assigned", "registrationState": state}))


def test_an_assignment_is_kept_for_the_registration_that_got_it(tmp_path: Path) -> None:
    file = AssignmentFile(tmp_path / "assignment.json", AS)
    assert file.read() is None
    file.write(HERE)
    assert file.read() == HERE
    assert AssignmentFile(file.path, ("0ne", "dev-9")).read() is None
    assert AssignmentFile(file.path, ("0two", "dev-1")).read() is None
    for damaged in (b"", b"{", b"[]", b'{"id_scope": "0ne", "registration_id": "dev-1", "hub": ";", "device": "d"}'):
        file.path.write_bytes(damaged)
        assert file.read() is None


def test_a_device_registers_once_in_its_life(tmp_path: Path) -> None:
    service = FakeService(HERE)
    assert enroller(tmp_path, service, Time()).await_assignment(Inbox()) == HERE
    assert enroller(tmp_path, service, Time()).await_assignment(Inbox()) == HERE
    assert service.asked == 1


def test_a_death_before_the_assignment_is_kept_costs_one_more_registration(tmp_path: Path) -> None:
    service = FakeService(HERE)
    first = enroller(tmp_path, service, Time())
    first.await_assignment(Inbox())
    (tmp_path / "assignment.json").unlink()
    (tmp_path / "assignment.json.new").write_bytes(b'{"id_scope": "0n')

    assert enroller(tmp_path, service, Time()).await_assignment(Inbox()) == HERE
    assert service.asked == 2


def test_a_disk_that_takes_nothing_keeps_nobody_from_working(tmp_path: Path) -> None:
    full = Enroller(FakeService(HERE), AssignmentFile(tmp_path / "no/such/folder.json", AS), Time(), MANNER)
    assert full.await_assignment(Inbox()) == HERE


def test_an_assignment_that_a_full_disk_refused_is_kept_once_there_is_room(tmp_path: Path) -> None:
    """Before the next restart: one into a new slot must be judged without asking anybody who the device is."""
    file = AssignmentFile(tmp_path / "later" / "assignment.json", AS)
    service = FakeService(HERE)
    enrolling = Enroller(service, file, Time(), MANNER)
    enrolling.await_assignment(Inbox())
    link = channel(MovableHub(), enrolling)
    assert knock(link, 1) == ["open"]
    file.path.parent.mkdir()

    assert knock(link, 1) == ["open"]
    assert (file.read(), service.asked) == (HERE, 1)


@pytest.mark.parametrize(
    "error", [RegistrationRefused("401"), ChannelDown("away"), RegistrationPutOff("429"), RegistrationPutOff("429", 50)]
)
def test_registrations_that_fail_come_further_and_further_apart(tmp_path: Path, error: OutsideError) -> None:
    """A day with nobody to enrol the device: some dozens of registrations, and none within three seconds of another."""
    time, service = Time(), FakeService(error)
    enrolling, asked_at = enroller(tmp_path, service, time), []
    for _ in range(86_400):
        if time.at_s >= enrolling._not_before_s:
            asked_at.append(time.at_s)
            assert enrolling.try_enrol() is None
        time.at_s += 1

    gaps = [later - earlier for earlier, later in pairwise(asked_at)]
    assert min(gaps) >= 3 + getattr(error, "retry_after_s", 0)
    assert 20 < service.asked < 120


def test_waits_that_were_the_longest_are_not_followed_by_short_ones(tmp_path: Path) -> None:
    """Neither what a service asks for nor how long an attempt takes makes the next attempts come close together."""
    time, service = Time(), FakeService(RegistrationPutOff("429", LONGEST_PUT_OFF_S))
    enrolling = enroller(tmp_path, service, time)
    for _ in range(30):
        time.at_s = enrolling._not_before_s + 60
        enrolling.try_enrol()
    assert enrolling._attempts == 30


def test_no_wait_that_is_asked_for_silences_a_device_for_good(tmp_path: Path) -> None:
    time = Time()
    enrolling = enroller(tmp_path, FakeService(RegistrationPutOff("429", 1e9)), time)
    enrolling.try_enrol()
    assert enrolling._not_before_s <= time.at_s + LONGEST_PUT_OFF_S + 30


def test_a_stop_ends_the_wait_for_an_assignment(tmp_path: Path) -> None:
    inbox = Inbox()
    enrolling = enroller(tmp_path, FakeService(RegistrationRefused("401")), Time())
    inbox.put(StopRequested())
    assert enrolling.await_assignment(inbox) is None


def test_a_hub_that_refuses_for_good_is_left_for_the_one_that_is_assigned(tmp_path: Path) -> None:
    service, time = FakeService(HERE, THERE), Time()
    enrolling = enroller(tmp_path, service, time)
    enrolling.await_assignment(Inbox())
    hub = MovableHub(HERE.hub)
    link = channel(hub, enrolling)

    assert knock(link, 3) == ["ChannelUnauthorized"] * 3
    assert service.asked == 1, "one or two refusals pass"
    time.at_s += 30
    assert knock(link, 1) == ["open"]

    assert (service.asked, hub.host) == (2, THERE.hub)
    assert enroller(tmp_path, service, time).assignment == THERE


def test_a_hub_that_refuses_whatever_the_service_says_is_no_reason_for_haste(tmp_path: Path) -> None:
    """Disabled in the hub, and assigned to it again each time: a knock every two minutes, and ever fewer questions."""
    service, time = FakeService(HERE), Time()
    enrolling = enroller(tmp_path, service, time)
    enrolling.await_assignment(Inbox())
    link, asked_at = channel(MovableHub(HERE.hub), enrolling), [time.at_s]
    while time.at_s < 1000 + 86_400:
        before = service.asked
        assert knock(link, 1) == ["ChannelUnauthorized"]
        asked_at += [time.at_s] * (service.asked - before)
        time.at_s += 5

    gaps = [later - earlier for earlier, later in pairwise(asked_at)]
    assert min(gaps) >= 3
    assert 20 < service.asked < 120


def test_a_service_that_is_away_keeps_nobody_from_a_hub_that_is_back(tmp_path: Path) -> None:
    service, time = FakeService(HERE, ChannelDown("away")), Time()
    enrolling = enroller(tmp_path, service, time)
    enrolling.await_assignment(Inbox())
    hub = MovableHub(HERE.hub)
    link = channel(hub, enrolling)
    knock(link, 3)
    time.at_s += 30
    hub.refuses.clear()

    assert knock(link, 1) == ["open"]
    assert service.asked == 2


def test_a_hub_that_is_gone_is_asked_about_after_a_while(tmp_path: Path) -> None:
    service, time = FakeService(HERE, THERE), Time()
    enrolling = enroller(tmp_path, service, time)
    enrolling.await_assignment(Inbox())
    hub = MovableHub()
    hub.open_faults = [ChannelDown("no such host")] * 3
    link = channel(hub, enrolling)
    assert knock(link, 2) == ["ChannelDown"] * 2
    time.at_s += MANNER.unreachable_s - 1
    assert knock(link, 1) == ["ChannelDown"]
    assert service.asked == 1
    time.at_s += 1

    assert knock(link, 1) == ["open"]
    assert (service.asked, hub.host) == (2, THERE.hub)


def test_a_device_that_gets_another_id_is_built_anew(tmp_path: Path) -> None:
    service, time = FakeService(HERE, OTHER), Time()
    enrolling = enroller(tmp_path, service, time)
    enrolling.await_assignment(Inbox())
    link = channel(MovableHub(HERE.hub), enrolling)
    knock(link, 3)
    time.at_s += 30

    with pytest.raises(Reassigned, match="dev-2"):
        link.open(lambda _: None)
    assert enrolling.await_assignment(Inbox()) == OTHER
