"""The device is killed at every point where it writes: it ends as if it had not been."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.install.durable import write_durably
from tests.support.agent import Bench, CrashPoints, Factory, running_factory


@pytest.fixture(scope="module")
def factory() -> Iterator[Factory]:
    with running_factory() as factory:
        factory.firmware("1.1.0", b"new image")
        yield factory


def run(folder: Path, factory: Factory, *, failure: str, fatal: int | None) -> Bench:
    bench = Bench(folder=folder, factory=factory, points=CrashPoints())
    bench.points.fatal = fatal
    bench.health.failure = failure
    package = next(iter(factory.packages))
    bench.hub.put(factory.offer(package))
    bench.run_until()
    return bench


@pytest.mark.parametrize(
    ("failure", "state", "version", "slot"), [("", "succeeded", "1.1.0", "b"), ("ill", "failed", "1.0.0", "a")]
)
def test_killed_at_any_write_the_device_ends_in_the_same_place(
    tmp_path: Path, factory: Factory, failure: str, state: str, version: str, slot: str
) -> None:
    undisturbed = run(tmp_path / "undisturbed", factory, failure=failure, fatal=None)
    total = undisturbed.points.passed
    assert total > 25, undisturbed.points.names

    for fatal in range(1, total + 1):
        killed = run(tmp_path / f"killed-{fatal}", factory, failure=failure, fatal=fatal)
        where = killed.points.names[fatal - 1]
        last = killed.hub.reports[-1]
        assert killed.kills == 1, where
        assert (last["state"], last["installed"]) == (state, {"engine": version}), where
        assert (killed.slots.active(), killed.memory.pending) == (slot, None), where


def test_a_half_written_successor_of_the_journal_is_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "journal.json"
    write_durably(journal, b"old")
    (tmp_path / "journal.json.new").write_bytes(b"ne")

    assert journal.read_bytes() == b"old"
    write_durably(journal, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["journal.json"]
