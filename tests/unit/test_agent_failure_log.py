"""The agent sends the end of its log after a failed rollout, and the rollout never notices."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.failure_log import LogFile
from tests.support.agent import Bench, Factory


@pytest.fixture
def bench(tmp_path: Path, factory: Factory) -> Iterator[Bench]:
    file = LogFile(path=tmp_path / "agent.log", limit_bytes=2_000)
    handler = file.handler()
    root = logging.getLogger("agent")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield Bench(folder=tmp_path / "device", factory=factory, log_file=file)
    root.removeHandler(handler)
    root.setLevel(before)
    handler.close()


def fail(bench: Bench, sequence: int = 1, version: str = "1.1.0") -> None:
    bench.health.failure = "no pulse"
    bench.hub.put(bench.factory.offer(bench.factory.firmware(version), sequence))
    bench.run_until()
    assert bench.hub.states[-1] == "failed"


def test_after_a_failure_the_log_tells_of_it_across_the_restarts(bench: Bench) -> None:
    fail(bench)
    [sent] = bench.factory.service.logs
    first, *rest = sent.decode().splitlines()
    assert first == "camp-1 attempt 1: failed health_check_failed: no pulse"
    assert bench.restarts == 2
    assert any("restarting into slot b" in line for line in rest)
    assert any("ended: failed" in line for line in rest)


def test_it_is_sent_once_however_often_the_agent_starts(bench: Bench) -> None:
    fail(bench)
    for _ in range(3):
        bench.run_once()
    assert len(bench.factory.service.logs) == 1
    fail(bench, sequence=2, version="1.2.0")
    assert len(bench.factory.service.logs) == 2


def test_a_success_and_an_agent_that_is_not_told_to_send_nothing(bench: Bench) -> None:
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))
    bench.run_until()
    bench.log_file = None
    fail(bench, sequence=2, version="1.2.0")
    assert bench.factory.service.logs == []


@pytest.mark.parametrize("status", [401, 404, 413, 500, 503])
def test_a_service_that_does_not_take_it_changes_nothing_and_is_asked_again_at_the_next_start(
    bench: Bench, status: int
) -> None:
    bench.factory.service.log_answers = [status]
    fail(bench)
    assert bench.hub.reports[-1]["code"] == "health_check_failed"
    assert bench.factory.service.logs == []
    bench.run_once()
    assert len(bench.factory.service.logs) == 1


def test_a_withdrawn_offer_has_no_ticket_any_more(bench: Bench) -> None:
    bench.factory.service.log_answers = [503]
    fail(bench)
    bench.hub.put(None)
    bench.run_once()
    assert bench.factory.service.logs == []


def test_only_the_end_of_a_long_log_is_kept_and_sent(bench: Bench) -> None:
    for number in range(500):
        logging.getLogger("agent.test").info("line %d", number)
    fail(bench)
    [sent] = bench.factory.service.logs
    assert len(sent) <= 2_000
    assert b"line 0\n" not in sent
    assert bench.log_file is not None
    kept = [path.stat().st_size for path in bench.log_file.path.parent.glob("agent.log*")]
    assert sum(kept) <= 2_000
