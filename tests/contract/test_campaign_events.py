"""Publishing through the real Event Grid SDK to an endpoint that answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.eventgrid import EventGridPublisherClient

from shared.adapters.azure_events import AzureEvents
from shared.ports.bus import OutgoingEvent
from shared.ports.errors import Throttled, Unavailable


class Topic(ThreadingHTTPServer):
    """A topic endpoint that keeps what it gets."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[list[dict[str, Any]]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/topics/events/api/events"


class _Handler(BaseHTTPRequestHandler):
    server: Topic

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def topic() -> Iterator[Topic]:
    with Topic() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def publisher(topic: Topic) -> AzureEvents:
    client = EventGridPublisherClient(topic.endpoint, AzureKeyCredential("k"), retry_total=0)
    return AzureEvents(client, source="/groundswell/hub")


def event(number: int, data: bytes = b'{"state":"running"}') -> OutgoingEvent:
    return OutgoingEvent(type="campaign.changed", subject="campaigns/spring", data=data, id=f"spring:{number}")


def test_events_arrive_as_cloud_events(topic: Topic, publisher: AzureEvents) -> None:
    publisher.publish([event(1), event(2)])
    ((first, second),) = topic.calls
    assert (first["specversion"], first["source"], first["type"]) == ("1.0", "/groundswell/hub", "campaign.changed")
    assert (first["id"], first["subject"], first["data"]) == ("spring:1", "campaigns/spring", {"state": "running"})
    assert second["id"] == "spring:2"


def test_more_than_one_call_can_hold_goes_out_in_several(topic: Topic, publisher: AzureEvents) -> None:
    publisher.publish([event(number, json.dumps("x" * 300_000).encode()) for number in range(5)])
    assert [[found["id"] for found in call] for call in topic.calls] == [
        ["spring:0", "spring:1"],
        ["spring:2", "spring:3"],
        ["spring:4"],
    ]


# 500 and 503 end the same way, after five seconds in which the SDK tries again by itself.
@pytest.mark.parametrize(("status", "error"), [(429, Throttled), (401, Unavailable), (413, Unavailable)])
def test_a_topic_that_refuses_says_what_a_retry_can_do(
    topic: Topic, publisher: AzureEvents, status: int, error: type[Exception]
) -> None:
    topic.status = status
    with pytest.raises(error):
        publisher.publish([event(1)])


def test_a_topic_that_is_gone_is_unavailable(topic: Topic, publisher: AzureEvents) -> None:
    topic.shutdown()
    topic.server_close()
    with pytest.raises(Unavailable):
        publisher.publish([event(1)])
