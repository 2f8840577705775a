"""What every parking does."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from shared.adapters.azure_parking import AzureParking
from shared.ports.bus import Queue
from shared.ports.errors import Unavailable
from shared.ports.replay import SetAside
from shared.wire.parking import read_reason
from tests.support.memory_bus import MemoryParking

type Parked = list[tuple[str, bytes, str, str]]
type Parking = AzureParking | MemoryParking


@pytest.fixture
def container(storage_connection: str) -> Iterator[ContainerClient]:
    with BlobServiceClient.from_connection_string(storage_connection) as service:
        yield service.create_container(f"parked-{secrets.token_hex(6)}")


@pytest.fixture(params=["memory", "azure"])
def parking(request: pytest.FixtureRequest) -> Parking:
    if request.param == "memory":
        return MemoryParking()
    return AzureParking(request.getfixturevalue("container"))


def parked(parking: Parking, request: pytest.FixtureRequest) -> Parked:
    if isinstance(parking, MemoryParking):
        return sorted((source, body, *why) for (source, body), why in parking.parked.items())
    found: Parked = []
    container: ContainerClient = request.getfixturevalue("container")
    for blob in container.list_blobs(include=["metadata"]):
        source, code, reason = read_reason(blob.metadata)
        found.append((source, container.download_blob(blob.name).readall(), code, reason))
    return sorted(found)


def test_a_message_is_kept_as_it_came_with_the_reason(parking: Parking, request: pytest.FixtureRequest) -> None:
    parking.park(source="campaign-steps", body=b"\xff{", code="malformed_message", reason="kein Üben,\nnur Müll: 50 %")
    assert parked(parking, request) == [("campaign-steps", b"\xff{", "malformed_message", "kein Üben,\nnur Müll: 50 %")]


def test_the_same_body_from_the_same_source_is_kept_once(parking: Parking, request: pytest.FixtureRequest) -> None:
    for reason in ("first", "second"):
        parking.park(source="device-batches", body=b"{}", code="x", reason=reason)
    parking.park(source="campaign-steps", body=b"{}", code="x", reason="third")
    assert sorted(reason for *_, reason in parked(parking, request)) == ["second", "third"]


def test_an_empty_body_and_an_odd_source_are_kept_too(parking: Parking, request: pytest.FixtureRequest) -> None:
    parking.park(source="a/../b?", body=b"", code="x", reason="")
    assert parked(parking, request) == [("a/../b?", b"", "x", "")]


@pytest.mark.parametrize("character", ["\N{FIRE}", "ü", "\x00", "\ud83d", "a"], ids=ascii)
def test_however_hostile_the_texts_the_message_is_kept(
    parking: Parking, request: pytest.FixtureRequest, character: str
) -> None:
    parking.park(source="twin-changes", body=b"{", code=character * 5_000, reason=character * 5_000)
    assert [body for _, body, *_ in parked(parking, request)] == [b"{"]


def test_what_is_parked_is_listed_with_where_it_belongs(parking: Parking) -> None:
    parking.park(source="campaign-steps", body=b"{", code="x", reason="why", session_id="spring ü")
    parking.park(source="reports", body=b"[", code="x", reason="")
    parking.park(source="twin-changes", body=b"]", code="x", reason="")
    found = {message.queue: message for message in parking.list()}
    assert set(found) == {Queue.CAMPAIGN_STEPS, Queue.REPORT_BACKLOG, None}
    step = found[Queue.CAMPAIGN_STEPS]
    assert (step.session_id, step.code, step.reason) == ("spring ü", "x", "why")
    assert step.id.startswith("parked/campaign-steps/")


def test_what_is_sent_again_is_gone_and_everything_else_stays(parking: Parking) -> None:
    for body in (b"1", b"2", b"3"):
        parking.park(source="device-batches", body=body, code="x", reason="")
    sent: list[bytes] = []
    chosen = list(parking.list())[:2]
    assert parking.resend(chosen, lambda _message, body: sent.append(body)) == 2
    assert parking.resend(chosen, lambda _message, body: sent.append(body)) == 0
    [left] = parking.list()
    assert left not in chosen
    assert len(set(sent)) == 2


def test_a_message_that_cannot_be_sent_stays(parking: Parking) -> None:
    parking.park(source="device-batches", body=b"1", code="x", reason="")

    def fail(_message: SetAside, _body: bytes) -> None:
        raise Unavailable("the queue is down")

    with pytest.raises(Unavailable):
        parking.resend(list(parking.list()), fail)
    assert len(list(parking.list())) == 1


def test_a_message_parked_once_more_while_it_is_sent_again_stays(parking: Parking) -> None:
    """It fails before the replay has removed it: removing it then would lose it."""
    parking.park(source="device-batches", body=b"1", code="x", reason="first")
    [before] = parking.list()

    def fails_at_once(_message: SetAside, body: bytes) -> None:
        parking.park(source="device-batches", body=body, code="x", reason="second")

    parking.resend([before], fails_at_once)
    [after] = parking.list()
    assert after.reason == "second"
    assert after.receipt != before.receipt
    assert parking.resend([before], fails_at_once) == 0
