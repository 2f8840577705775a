"""Reading the event hub beside the relay: from where it ended before, without a pointer, all partitions at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError

from cli.hub.arrival import CAMPAIGN, ask_arrival
from cli.hub.calls import CheckFailed
from cli.hub.changes import AzureFeed, Change, ReadingRefused
from cli.hub.findings import Answer, Findings, Question


class Event:
    """An event as the SDK hands it over."""

    def __init__(self, device: str, body: Any) -> None:
        self.properties = {b"deviceId": device.encode()}
        self._body = body

    def body_as_json(self) -> Any:
        return self._body


class Partitions:
    """What is used of an ``EventHubConsumerClient``: two partitions, one of them empty."""

    def __init__(self, events: dict[str, list[Any]], error: AzureError | None = None) -> None:
        self._events = events
        self._error = error
        self.asked: dict[str, dict[str, Any]] = {}
        self.closed = threading.Event()

    def get_partition_ids(self) -> list[str]:
        return list(self._events)

    def get_partition_properties(self, partition: str) -> dict[str, Any]:
        if self._error is not None:
            raise self._error
        return {"last_enqueued_sequence_number": {"0": 41, "1": -1}[partition]}

    def receive(self, *, on_event: Callable[[Any, Any], None], partition_id: str, **asked: Any) -> None:
        self.asked[partition_id] = asked
        for event in self._events[partition_id]:
            on_event(None, event)
        self.closed.wait(10)

    def close(self) -> None:
        self.closed.set()


def test_each_partition_is_read_from_behind_its_last_event_and_nobodys_pointer_is_asked_for() -> None:
    client = Partitions({"0": [Event("a", {"n": 1}), None], "1": [Event("b", {"n": 2})]})
    feed = AzureFeed(client)
    feed.begin()
    found = [feed.take(5), feed.take(5)]
    feed.close()

    assert sorted(change.device for change in found if change is not None) == ["a", "b"]
    assert {partition: asked["starting_position"] for partition, asked in client.asked.items()} == {"0": 41, "1": "-1"}
    assert not any({"owner_level", "checkpoint_store"} & asked.keys() for asked in client.asked.values())


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ClientAuthenticationError("Unauthorized access"), ReadingRefused), (AzureError("no such host"), CheckFailed)],
)
def test_a_refusal_is_told_from_an_outage(error: AzureError, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        AzureFeed(Partitions({"0": []}, error)).begin()


class Feed:
    """Hands out what it was given, then nothing."""

    def __init__(self, *changes: Change) -> None:
        self.changes = list(changes)

    def take(self, wait_s: float) -> Change | None:
        return self.changes.pop(0) if self.changes else None


def test_only_this_devices_own_change_counts() -> None:
    feed, findings = Feed(), Findings()

    def report(patch: Any) -> None:
        assert patch["update"]["campaign"] == CAMPAIGN
        body = {"properties": {"reported": patch}}
        older = {"properties": {"reported": {"update": {"detail": "an earlier check"}}}}
        feed.changes = [
            Change(device="x", body=older),
            Change(device="other", body=body),
            Change(device="x", body=body),
        ]

    ask_arrival(report, feed, findings, "x", wait_s=5, ended=threading.Event())
    assert findings[Question.CHANGES_ARRIVE].answer is Answer.YES


def test_others_changes_tell_that_the_route_works_for_those() -> None:
    findings = Findings()
    feed = Feed(Change(device="other", body={}))
    ask_arrival(lambda _: None, feed, findings, "x", wait_s=0.1, ended=threading.Event())

    assert findings[Question.CHANGES_ARRIVE].answer is Answer.NO
    assert "1 changes of other devices did" in findings[Question.CHANGES_ARRIVE].seen


def test_who_ends_the_check_does_not_wait_for_the_change() -> None:
    ended = threading.Event()
    with pytest.raises(CheckFailed, match="ended before"):
        ask_arrival(lambda _: ended.set(), Feed(), Findings(), "x", wait_s=600, ended=ended)
