"""The file of the local cloud: what has changed is written, all or nothing, and what is gone is gone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from emulator.durable import Entry, Part, StateFile
from emulator.eventhub.log import EventLog, event_hubs_part


class Shelf:
    """A part that holds numbers by name, and counts how often one is written out."""

    def __init__(self, name: str = "shelf") -> None:
        self.numbers: dict[str, int] = {}
        self.written = 0
        self.part = Part(name=name, held=self._held, restore=self._restore)

    def _held(self) -> Iterator[Entry]:
        for key, number in self.numbers.items():
            yield Entry(key=key, mark=number, write=partial(self._write, number))

    def _write(self, number: int) -> Any:
        self.written += 1
        if number < 0:
            raise OverflowError("cannot be written")
        return {"number": number}

    def _restore(self, documents: Mapping[str, Any]) -> None:
        self.numbers = {key: document["number"] for key, document in documents.items()}


def read(path: Path, *shelves: Shelf) -> list[dict[str, int]]:
    """What a next process finds."""
    found = []
    for shelf in shelves:
        again = Shelf(shelf.part.name)
        StateFile(path).add(again.part)
        found.append(again.numbers)
    return found


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    path, shelf = tmp_path / "state.sqlite", Shelf()
    state = StateFile(path)
    state.add(shelf.part)
    shelf.numbers = {"a": 1, "b": 2, "c": 3}
    assert state.write() == 3
    shelf.numbers = {"a": 1, "b": 5}

    assert state.write() == 2
    assert state.write() == 0
    assert shelf.written == 4
    assert read(path, shelf) == [{"a": 1, "b": 5}]


def test_a_write_that_breaks_off_leaves_all_parts_as_they_were(tmp_path: Path) -> None:
    path, first, second = tmp_path / "state.sqlite", Shelf("first"), Shelf("second")
    state = StateFile(path)
    for shelf in (first, second):
        state.add(shelf.part)
        shelf.numbers = {"a": 1}
    state.write()
    first.numbers, second.numbers = {"a": 2}, {"a": -1}

    with pytest.raises(OverflowError):
        state.write()
    assert read(path, first, second) == [{"a": 1}, {"a": 1}]
    second.numbers = {"a": 2}
    assert state.write() == 2
    assert read(path, first, second) == [{"a": 2}, {"a": 2}]


def test_what_a_full_disk_refused_is_written_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, shelf = tmp_path / "state.sqlite", Shelf()
    state = StateFile(path)
    state.add(shelf.part)
    shelf.numbers = {"a": 1}

    async def live() -> None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")  # nobody else may write, for longer than is waited
            writing = asyncio.create_task(state.run())
            while "cannot be written" not in caplog.text:
                await asyncio.sleep(0.01)
            other.rollback()
        while read(path, shelf) != [{"a": 1}]:
            await asyncio.sleep(0.05)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing

    asyncio.run(asyncio.wait_for(live(), 60))


def test_what_cannot_be_written_does_not_end_the_writing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, shelf = tmp_path / "state.sqlite", Shelf()
    state = StateFile(path)
    state.add(shelf.part)
    shelf.numbers = {"a": -1}

    async def live() -> None:
        writing = asyncio.create_task(state.run())
        while "cannot be written" not in caplog.text:
            assert not writing.done(), "nobody would be told, and nothing be kept from now on"
            await asyncio.sleep(0.01)
        shelf.numbers = {"a": 1}
        while read(path, shelf) != [{"a": 1}]:
            await asyncio.sleep(0.05)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing

    asyncio.run(asyncio.wait_for(live(), 60))


def test_an_event_hub_goes_on_where_it_was(tmp_path: Path) -> None:
    async def live() -> None:
        path, log = tmp_path / "state.sqlite", EventLog("twins", partitions=2)
        state = StateFile(path)
        state.add(event_hubs_part({"twins": log}))
        for number in range(6):
            log.append(key="one", body=str(number), properties={}, system_properties={"p": "q"})
        place = log.partition_of("one")
        log.checkpoint("$Default", place, 3)
        log.checkpoint("other", place, 1)
        state.close()

        again = EventLog("twins", partitions=2)
        StateFile(path).add(event_hubs_part({"twins": again}))
        ours = await again.read("$Default", place, most=10, wait_s=0)
        others = await again.read("other", place, most=10, wait_s=0)
        news = await again.read("new", place, most=10, wait_s=0)
        assert ours == (await log.read("$Default", place, most=10, wait_s=0))
        assert [event.body for event in ours] == ["4", "5"]
        assert [event.body for event in others] == [event.body for event in news] == ["2", "3", "4", "5"]
        assert (again.lag(), again.count()) == (2, 6)
        record = again.append(key="one", body="6", properties={}, system_properties={})
        assert (record.sequence_number, record.offset) == (6, "6")

    asyncio.run(live())


def test_a_partition_that_was_read_to_its_end_goes_on_counting(tmp_path: Path) -> None:
    async def live() -> None:
        path, log = tmp_path / "state.sqlite", EventLog("twins", partitions=1)
        state = StateFile(path)
        state.add(event_hubs_part({"twins": log}))
        log.append(key="one", body="a", properties={}, system_properties={})
        log.checkpoint("$Default", 0, 0)
        state.close()

        again = EventLog("twins", partitions=1)
        StateFile(path).add(event_hubs_part({"twins": again}))
        assert again.lag() == 0
        assert await again.read("$Default", 0, most=10, wait_s=0) == []
        again.append(key="one", body="b", properties={}, system_properties={})
        [event] = await again.read("$Default", 0, most=10, wait_s=0)
        assert (event.body, event.sequence_number) == ("b", 1)

    asyncio.run(live())
