"""Carries the local cloud's events on to another event hub, such as the official emulator's, which has no IoT Hub."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import requests

_GROUP = "carried-on"
_MOST = 100
_LONG_POLL_S = 5
_OUTAGE_PAUSE_S = 1.0


class Sink(Protocol):
    """Where events go."""

    def send(self, events: Sequence[Mapping[str, Any]], *, partition_key: str) -> None:
        """Send events of one partition key, in order.

        Raises:
            Exception: Nothing is known to have arrived; they are sent again.
        """


class Carrier:
    """Reads one event hub of the local cloud and sends what it reads; what was sent is not read again.

    Args:
        source: the local cloud's setting ``EventHub``.
        hub: name of the event hub.
    """

    def __init__(self, source: str, hub: str, sink: Sink) -> None:
        fields = dict(part.split("=", 1) for part in source.strip(";").split(";"))
        self._url = fields["Endpoint"].replace("sb://", "http://").rstrip("/") + f"/eventhubs/{hub}"
        self._http = requests.Session()
        self._http.headers["Authorization"] = fields["SharedAccessKey"]
        self._sink = sink

    def partitions(self) -> list[int]:
        """The hub's partitions."""
        return list(self._call("GET", self._url).json()["partitions"])

    def carry(self, partition: int, *, wait_s: float = _LONG_POLL_S) -> int:
        """Send what has come since, waiting for something to come; how many events that were."""
        place = f"{self._url}/partitions/{partition}"
        events = self._call("GET", f"{place}/events?group={_GROUP}&max={_MOST}&wait={wait_s}").json()
        for key, some in _runs(events):
            self._sink.send(some, partition_key=key)
        if events:
            done = {"group": _GROUP, "sequenceNumber": events[-1]["sequenceNumber"]}
            self._call("PUT", f"{place}/checkpoint", json=done)
        return len(events)

    def _call(self, method: str, url: str, **body: Any) -> requests.Response:
        response = self._http.request(method, url, timeout=_LONG_POLL_S + 30, **body)
        response.raise_for_status()
        return response


def _runs(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Neighbours of one key together, so that the order within a key stays."""
    run: list[Mapping[str, Any]] = []
    for event in events:
        if run and run[0]["partitionKey"] != event["partitionKey"]:
            yield run[0]["partitionKey"], run
            run = []
        run.append(event)
    if run:
        yield run[0]["partitionKey"], run


@contextmanager
def carrying(source: str, hub: str, sink: Sink) -> Iterator[None]:
    """Carry events on, in the background, until the block ends."""
    ended = threading.Event()
    partitions = Carrier(source, hub, sink).partitions()
    threads = [
        threading.Thread(target=_carry_on, args=(Carrier(source, hub, sink), partition, ended), daemon=True)
        for partition in partitions
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(_LONG_POLL_S + 5)


def _carry_on(carrier: Carrier, partition: int, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            carrier.carry(partition)
        except Exception:
            # Whatever the other side has: nothing is lost, because the pointer has not moved.
            ended.wait(_OUTAGE_PAUSE_S)
