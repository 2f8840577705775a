"""A full disk: the rollout fails and says so, the device goes back where it must, and lives on."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from agent.adapters import journal_file
from agent.adapters.journal_file import FileJournal
from agent.install import slots as slots_module
from agent.install.durable import write_durably
from agent.memory import Memory
from shared.domain.ids import DeviceId
from tests.support.agent import Bench, Factory


@pytest.fixture
def bench(tmp_path: Path, factory: Factory) -> Bench:
    bench = Bench(folder=tmp_path / "device", factory=factory)
    bench.hub.put(factory.offer(factory.firmware("1.1.0")))
    return bench


def has_half_made_slot(bench: Bench) -> bool:
    return (bench.slots.folder("b") / "image").exists()


def test_what_fills_the_disk_is_removed_before_the_end_is_journalled(bench: Bench) -> None:
    bench.slots_are_full = lambda: True
    bench.journal_is_full = lambda: has_half_made_slot(bench)

    bench.run_until()

    last = bench.hub.reports[-1]
    assert (last["state"], last["code"], last["installed"]) == ("failed", "no_space", {"engine": "1.0.0"})
    assert (bench.memory.pending, bench.slots.folder("b").exists()) == (None, False)
    assert not list((bench.folder / "downloads").glob("*"))


def test_too_little_room_is_noticed_before_anything_is_copied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path, needed_bytes: int) -> None:
        raise OSError(errno.ENOSPC, f"{needed_bytes} bytes are needed")

    monkeypatch.setattr(slots_module, "check_space", refuse)
    bench.run_until()

    assert bench.hub.reports[-1]["code"] == "no_space"


def test_the_old_slot_comes_back_even_if_the_journal_cannot_be_written(bench: Bench) -> None:
    bench.journal_is_full = lambda: bench.slots.active() == "b" and bench.restarts > 0

    bench.run_until()

    assert bench.hub.reports[-1]["state"] == "failed"
    assert bench.runs == {"engine": "1.0.0"}
    assert bench.slots.active() == "a"


def test_a_failure_is_reported_even_if_the_journal_never_takes_it(bench: Bench) -> None:
    bench.journal_is_full = lambda: "installing" in bench.hub.states

    bench.run_until()

    assert (bench.hub.reports[-1]["state"], bench.hub.reports[-1]["code"]) == ("failed", "no_space")


def test_the_reserve_is_given_up_for_the_journal_and_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FileJournal(tmp_path / "journal.json")
    journal.write(Memory(highest_sequence=1))
    assert journal.reserve.stat().st_blocks * 512 >= journal_file.RESERVE_BYTES

    def write_if_room(path: Path, content: bytes) -> None:
        if journal.reserve.exists():
            raise OSError(errno.ENOSPC, "no space left")
        write_durably(path, content)

    with monkeypatch.context() as full:
        full.setattr(journal_file, "write_durably", write_if_room)
        journal.write(Memory(highest_sequence=2))
    assert (journal.read().highest_sequence, journal.reserve.exists()) == (2, False)

    journal.write(Memory(highest_sequence=3))
    assert journal.reserve.exists()


def test_an_agent_whose_journal_names_no_device_starts_on_a_full_disk(bench: Bench) -> None:
    """A journal from before ids were noted, or of another id: what is held of it must not end the agent."""
    bench.hub.desired = {"$version": 1}
    bench.run_once()
    assert bench.memory.device == "dev-1"
    bench.name = DeviceId("dev-2")
    bench.journal_is_full = lambda: True

    bench.run_once()

    assert bench.runs == {"engine": "1.0.0"}
