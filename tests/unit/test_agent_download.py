"""Contents come over a real socket that breaks, lies and waits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.exchange import read_retry_after
from tests.support.agent import Bench

BIG = bytes(range(256)) * 4096  # 1 MiB


def test_a_broken_download_goes_on_where_it_broke_off(bench: Bench) -> None:
    bench.factory.service.faults.cut_after_bytes = [300_000, 200_000]
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0", BIG)))

    bench.run_until()

    first, *rest = bench.factory.service.ranges
    assert bench.hub.states[-1] == "succeeded"
    assert first is None
    assert len(rest) == 2
    assert all(part is not None and part > "bytes=1" for part in rest)


def test_a_changed_representation_is_fetched_from_the_beginning(bench: Bench) -> None:
    package = bench.factory.firmware("1.1.0", BIG)
    service = bench.factory.service
    service.contents[package.path] = b"other" * 100_000
    service.faults.cut_after_bytes = [300_000]
    bench.hub.put(bench.factory.offer(package))
    service.on_cut = lambda: service.contents.update({package.path: BIG})

    bench.run_until()

    assert bench.hub.states[-1] == "succeeded"


@pytest.mark.parametrize("content", [b"x" * len(BIG), BIG + b"more"])
def test_contents_other_than_the_signed_ones_are_discarded(bench: Bench, content: bytes) -> None:
    package = bench.factory.firmware("1.1.0", BIG)
    bench.factory.service.contents[package.path] = content
    bench.hub.put(bench.factory.offer(package))

    bench.run_until()

    assert (bench.hub.reports[-1]["state"], bench.hub.reports[-1]["code"]) == ("failed", "digest_mismatch")
    assert not list((bench.folder / "downloads").glob("*"))
    assert bench.runs == {"engine": "1.0.0"}


def test_too_short_contents_end_in_download_failed(bench: Bench) -> None:
    package = bench.factory.firmware("1.1.0", BIG)
    bench.factory.service.contents[package.path] = BIG[:1000]
    bench.hub.put(bench.factory.offer(package))

    bench.run_until()

    assert bench.hub.reports[-1]["code"] == "download_failed"


def test_a_damaged_part_from_an_earlier_life_costs_one_fresh_start(bench: Bench) -> None:
    package = bench.factory.firmware("1.1.0", BIG)
    downloads = bench.folder / "downloads"
    downloads.mkdir(parents=True)
    (downloads / f"{package.sha256}.part").write_bytes(b"x" * len(BIG))
    bench.hub.put(bench.factory.offer(package))

    bench.run_until()

    assert bench.hub.states[-1] == "succeeded"


def test_a_service_that_stays_broken_ends_in_download_failed(bench: Bench) -> None:
    bench.factory.service.faults.answers = [(500, {})] * 4
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))

    bench.run_until()

    assert bench.hub.reports[-1]["code"] == "download_failed"
    assert "4 attempts" in bench.hub.reports[-1]["detail"]


def test_waits_the_service_asks_for_do_not_count_as_failures(bench: Bench) -> None:
    bench.factory.service.faults.answers = [(503, {"Retry-After": "0"})] * 20
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))

    bench.run_until()

    assert bench.hub.states[-1] == "succeeded"
    assert bench.factory.service.exchanges == 21


def test_a_refused_ticket_fails_the_rollout(bench: Bench) -> None:
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0"), ticket="stolen"))

    bench.run_until()

    assert (bench.hub.reports[-1]["state"], bench.hub.reports[-1]["code"]) == ("failed", "ticket_refused")


def test_a_fresher_ticket_for_the_same_offer_is_used(bench: Bench) -> None:
    service = bench.factory.service
    service.faults.answers = [(503, {"Retry-After": "30"})]
    package = bench.factory.firmware("1.1.0")
    bench.hub.put(bench.factory.offer(package, ticket="old"))

    def renew(report: dict[str, object]) -> bool:
        if report["state"] == "downloading":
            bench.hub.put(bench.factory.offer(package, ticket="ticket-1"))
        return report["state"] in ("succeeded", "failed")

    bench.run_until(renew)

    assert bench.hub.states == ["downloading", "installing", "restarting", "succeeded"]


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    now = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

    assert read_retry_after("7", now=now) == 7.0
    assert read_retry_after("Fri, 01 May 2026 12:01:00 GMT", now=now) == 60.0
    assert read_retry_after("Fri, 01 May 2026 11:00:00 GMT", now=now) == 0.0
    assert read_retry_after("soon", now=now) == read_retry_after(None, now=now) > 0
