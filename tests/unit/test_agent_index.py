"""The agent's index client against a real repository that somebody tampers with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.agent import Bench, Factory
from tests.support.agent_service import new_signer


@pytest.fixture
def bench(tmp_path: Path, factory: Factory) -> Bench:
    bench = Bench(folder=tmp_path / "device", factory=factory)
    bench.hub.put(factory.offer(factory.firmware("1.1.0")))
    return bench


def ends_with(bench: Bench) -> tuple[str, str]:
    bench.run_until()
    assert bench.runs == {"engine": "1.0.0"}
    return bench.hub.reports[-1]["state"], bench.hub.reports[-1]["code"]


def test_an_index_under_another_key_is_refused(bench: Bench) -> None:
    bench.factory.index.signers["timestamp"] = new_signer()
    bench.factory.index.publish()

    assert ends_with(bench) == ("rejected", "index_refused")


def test_a_changed_byte_in_a_bin_is_refused(bench: Bench) -> None:
    files = bench.factory.index.files
    for name in [name for name in files if ".bin-" in name]:
        files[name] = files[name].replace(b"rev-b", b"rev-x")

    assert ends_with(bench) == ("rejected", "index_refused")


def test_an_expired_index_is_waited_for_as_long_as_allowed_and_never_believed(bench: Bench) -> None:
    bench.factory.index.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    bench.factory.index.publish()

    assert ends_with(bench) == ("failed", "index_unavailable")


def test_an_older_index_than_one_seen_before_is_refused_even_by_a_new_process(bench: Bench) -> None:
    old = dict(bench.factory.index.files)
    package = bench.factory.firmware("1.0.0")
    bench.hub.put(bench.factory.offer(package, 1))
    bench.run_until()
    assert bench.hub.states == ["succeeded"]

    bench.factory.index.files = old
    bench.hub.put(bench.factory.offer(package, 2))

    assert ends_with(bench) == ("rejected", "index_refused")


def test_an_index_that_cannot_be_fetched_fails_after_the_allowed_attempts(bench: Bench) -> None:
    bench.factory.index.files = {}

    assert ends_with(bench) == ("failed", "index_unavailable")


def test_a_bin_cannot_name_intent_keys_or_publishers(bench: Bench, factory: Factory) -> None:
    factory.index.authorities_in_bin = True
    factory.index.publish()

    assert ends_with(bench) == ("rejected", "index_refused")


def test_a_forged_offer_with_a_huge_sequence_does_not_stop_the_next_genuine_one(bench: Bench) -> None:
    genuine = bench.factory.index.intent_signer
    bench.factory.index.intent_signer = new_signer()
    bench.hub.put(bench.factory.offer(bench.factory.packages[0], 10**9))
    bench.factory.index.intent_signer = genuine
    assert ends_with(bench) == ("rejected", "intent_refused")

    bench.hub.put(bench.factory.offer(bench.factory.packages[0], 2))
    bench.run_until()

    assert bench.runs == {"engine": "1.1.0"}
