"""The event hub that twin changes are routed to, read beside the relay.

Nobody else notices: it is read in a consumer group of the check's own, from positions taken before the change, and no
pointer is moved. Groups are apart from each other, so that the relay's hold on its partitions is not touched.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import requests
from azure.core.exceptions import AzureError

from cli.hub.calls import CheckFailed

GROUP = "groundswell-check"
EVENT_HUB = "twin-changes"
_POLL_S = 0.1


class ReadingRefused(Exception):
    """The event hub does not let this identity read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A twin change as it arrived."""

    device: str
    body: Mapping[str, Any]


class ChangeFeed(Protocol):
    """What arrives in the event hub from the moment on in which the feed was opened."""

    def take(self, wait_s: float) -> Change | None:
        """The next change, None where none comes in time.

        Raises:
            ReadingRefused: This identity may not read.
            CheckFailed: The event hub does not answer.
        """


@contextmanager
def open_changes(where: str, event_hub: str = EVENT_HUB) -> Iterator[ChangeFeed]:
    """The feed behind a connection string, or a namespace's host name with whoever is signed in.

    Raises:
        ReadingRefused, CheckFailed: As ``ChangeFeed.take``.
    """
    fields = dict(part.split("=", 1) for part in where.strip(";").split(";") if "=" in part)
    if fields.get("UseDevelopmentEmulator") == "true":
        yield LocalFeed(fields["Endpoint"], fields["SharedAccessKey"], event_hub)
        return
    feed = AzureFeed(_azure_client(where, event_hub))
    try:
        feed.begin()
        yield feed
    finally:
        feed.close()


class LocalFeed:
    """The local cloud's event hubs, which speak HTTP."""

    def __init__(self, endpoint: str, key: str, event_hub: str) -> None:
        self._url = endpoint.replace("sb://", "http://").rstrip("/") + f"/eventhubs/{event_hub}"
        self._http = requests.Session()
        self._http.headers["Authorization"] = key
        self._next: dict[int, int] = dict(enumerate(self._get(self._url)["next"]))
        self._taken: list[Change] = []

    def take(self, wait_s: float) -> Change | None:
        until = time.monotonic() + wait_s
        while not self._taken:
            for partition in self._next:
                self._read(partition)
            if not self._taken and time.monotonic() >= until:
                return None
            if not self._taken:
                time.sleep(_POLL_S)
        return self._taken.pop(0)

    def _read(self, partition: int) -> None:
        found = self._get(f"{self._url}/partitions/{partition}/events?from={self._next[partition]}")
        for event in found:
            self._taken.append(Change(device=event["properties"].get("deviceId", ""), body=json.loads(event["body"])))
            self._next[partition] = event["sequenceNumber"] + 1

    def _get(self, url: str) -> Any:
        try:
            answer = self._http.get(url, timeout=30)
        except requests.RequestException as error:
            raise CheckFailed(f"the event hub does not answer ({type(error).__name__})") from error
        if answer.status_code in (401, 403):
            raise ReadingRefused(f"{answer.status_code}")
        if not answer.ok:
            raise CheckFailed(f"the event hub answers {answer.status_code}: is its name right?")
        return answer.json()


class AzureFeed:
    """Event Hubs, through the ``azure-eventhub`` SDK: one receiver for each partition, on a thread of its own.

    Args:
        client: An ``EventHubConsumerClient``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._taken: SimpleQueue[Change | Exception] = SimpleQueue()

    def begin(self) -> None:
        """Take the positions, then read from there on.

        Raises:
            ReadingRefused, CheckFailed: As ``take``.
        """
        try:
            partitions = self._client.get_partition_ids()
            ends = {each: self._client.get_partition_properties(each) for each in partitions}
        except AzureError as error:
            raise _verdict(error) from error
        for partition, end in ends.items():
            position = end["last_enqueued_sequence_number"]
            threading.Thread(target=self._receive, args=(partition, position), daemon=True).start()

    def take(self, wait_s: float) -> Change | None:
        try:
            found = self._taken.get(timeout=wait_s)
        except Empty:
            return None
        if isinstance(found, Exception):
            raise _verdict(found) from found
        return found

    def close(self) -> None:
        """Read no more."""
        with suppress(AzureError):
            self._client.close()

    def _receive(self, partition: str, position: int) -> None:
        try:
            self._client.receive(
                on_event=self._note,
                on_error=lambda _context, error: self._taken.put(error),
                partition_id=partition,
                starting_position=position if position >= 0 else "-1",
            )
        except AzureError as error:
            self._taken.put(error)

    def _note(self, _context: Any, event: Any) -> None:
        if event is None:
            return
        properties = {_text(key): _text(value) for key, value in (event.properties or {}).items()}
        with suppress(ValueError, TypeError):
            self._taken.put(Change(device=properties.get("deviceId", ""), body=event.body_as_json()))


def _azure_client(where: str, event_hub: str) -> Any:
    try:
        from azure.eventhub import EventHubConsumerClient  # noqa: PLC0415 - only this asks for it
    except ImportError as error:
        raise CheckFailed("reading the event hub takes a package: pip install azure-eventhub") from error
    if "=" in where:
        return EventHubConsumerClient.from_connection_string(where, GROUP, eventhub_name=event_hub)
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - as above

    return EventHubConsumerClient(where, event_hub, GROUP, DefaultAzureCredential())


def _verdict(error: Exception) -> Exception:
    text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    if type(error).__name__ in ("AuthenticationError", "ClientAuthenticationError") or "unauthorized" in text.lower():
        return ReadingRefused(text)
    return CheckFailed(
        f"the event hub does not answer: {text}. Is its name right, and is there the consumer group {GROUP}?"
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
