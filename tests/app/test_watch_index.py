"""The daily refresh wakes people when it cannot sign, and when the owners must."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.handlers.watch_index import watch_index
from shared.ports.bus import OutgoingEvent
from shared.ports.errors import KeyUnusable, PortError, Throttled, Unavailable
from shared.trust.index import IndexUntrusted
from shared.wire.alerts import ALERT
from tests.support.memory_keys import MemoryKeyRing
from tests.support.memory_packages import MemoryEvents
from tests.support.repository import Repository

DAY = timedelta(days=1)


def _alerts(events: MemoryEvents) -> list[tuple[str, str]]:
    assert {event.type for event in events.published} <= {ALERT}
    bodies = [json.loads(event.data) for event in events.published]
    return [(body["code"], body["message"]) for body in bodies]


def test_a_refresh_that_succeeds_wakes_nobody() -> None:
    repository, events = Repository(), MemoryEvents()
    watch_index(repository.writer(), events, now=repository.now)
    assert events.published == []


def test_people_learn_that_a_key_is_gone_and_how_long_devices_wait() -> None:
    repository, events = Repository(), MemoryEvents()
    before = repository.store.read("timestamp.json")
    keyless = replace(repository.writer(), keys=MemoryKeyRing())
    for _ in range(2):
        with pytest.raises(KeyUnusable):
            watch_index(keyless, events, now=repository.now + DAY)

    (code, message), again = _alerts(events)
    assert code == "index_key_unusable"
    assert "timestamp" in message
    assert f"Devices believe it until {repository.now + 4 * DAY:%Y-%m-%d}" in message
    assert again == (code, message)
    assert len({event.id for event in events.published}) == 1
    assert repository.store.read("timestamp.json") == before


def test_people_learn_that_the_index_was_tampered_with() -> None:
    repository, events = Repository(), MemoryEvents()
    repository.store.files["1.snapshot.json"] = Repository().store.files["1.snapshot.json"]
    with pytest.raises(IndexUntrusted):
        watch_index(repository.writer(), events, now=repository.now)
    assert [code for code, _ in _alerts(events)] == ["index_untrusted"]


class _DownEvents:
    def publish(self, events: list[OutgoingEvent]) -> None:
        raise Unavailable("no topic")


@pytest.mark.parametrize("error", [Throttled("429"), Unavailable("500")], ids=["throttled", "down"])
def test_an_alert_that_cannot_be_published_does_not_hide_what_went_wrong(error: PortError) -> None:
    class BusyKeys(MemoryKeyRing):
        def signer(self, *_: object) -> object:  # type: ignore[override]
            raise error

    repository = Repository()
    writer = replace(repository.writer(), keys=BusyKeys())
    with pytest.raises(type(error)):
        watch_index(writer, _DownEvents(), now=repository.now)


@pytest.mark.parametrize(
    ("in_days", "codes"), [(300, []), (310, ["targets_expires"]), (700, ["root_expires", "targets_expires"])]
)
def test_owners_are_called_in_time(in_days: int, codes: list[str]) -> None:
    repository, events = Repository(now=datetime.now(UTC)), MemoryEvents()
    watch_index(repository.writer(), events, now=repository.now + in_days * DAY)
    assert [code for code, _ in _alerts(events)] == codes
