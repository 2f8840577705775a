"""A device under test takes offers from a fake hub; index, downloads, slots and handlers are the real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.ports import ChannelDown, ChannelRefused, ChannelThrottled
from shared.domain.packages import PackageKind
from tests.support.agent import ENDS, Bench, Killed, make_package


def test_a_genuine_offer_is_installed_into_the_other_slot_and_confirmed_after_the_restart(bench: Bench) -> None:
    package = bench.factory.firmware("1.1.0", b"new image")
    bench.hub.put(bench.factory.offer(package))

    bench.run_until()

    assert bench.hub.states == ["downloading", "installing", "restarting", "succeeded"]
    assert bench.hub.reports[-1]["installed"] == {"engine": "1.1.0"}
    assert (bench.restarts, bench.slots.active(), bench.health.examined) == (1, "b", ["b"])
    assert (bench.slots.folder("b") / "image").read_bytes() == b"new image"
    assert not list((bench.folder / "downloads").glob("*"))


def test_a_failed_health_check_brings_the_old_slot_back_and_says_why(bench: Bench) -> None:
    bench.health.failure = "ended with 1: no pulse"
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))

    bench.run_until()

    last = bench.hub.reports[-1]
    assert (last["state"], last["code"], last["detail"]) == ("failed", "health_check_failed", "ended with 1: no pulse")
    assert last["installed"] == {"engine": "1.0.0"}
    assert (bench.restarts, bench.slots.active()) == (2, "a")


def test_a_slot_that_keeps_crashing_is_given_up_after_the_boot_limit(bench: Bench) -> None:
    bench.health.crashes = 99
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))

    bench.run_until()

    assert bench.kills == 3
    assert bench.hub.reports[-1]["code"] == "health_check_failed"
    assert bench.runs == {"engine": "1.0.0"}


def test_a_slot_the_boot_loader_falls_back_from_ends_the_rollout_after_one_restart(bench: Bench) -> None:
    bench.on_restart = lambda: bench.slots.activate("a")
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))

    bench.run_until()

    last = bench.hub.reports[-1]
    assert (last["state"], last["code"], last["installed"]) == ("failed", "slot_did_not_boot", {"engine": "1.0.0"})
    assert bench.restarts == 1


def test_a_device_whose_slots_changed_during_the_download_installs_beside_what_runs(bench: Bench) -> None:
    first = bench.factory.offer(bench.factory.firmware("1.1.0"), 1)
    second = bench.factory.offer(bench.factory.firmware("1.2.0", b"newest"), 2)
    bench.hub.put(first)
    bench.run_until()
    bench.hub.put(second)
    bench.points.passed, bench.points.fatal, bench.points.names = 0, 2, []  # killed once the offer is journalled
    bench.on_kill = lambda: bench.slots.activate("a")

    bench.run_until(lambda report: report["sequence"] == 2 and report["state"] in ENDS)

    last = bench.hub.reports[-1]
    assert bench.kills == 1
    assert (last["state"], last["installed"], bench.runs) == ("succeeded", {"engine": "1.2.0"}, {"engine": "1.2.0"})
    assert bench.slots.active() == "b"


def test_no_success_is_told_of_a_slot_that_holds_another_version(bench: Bench) -> None:
    bench.on_restart = lambda: bench.slots.seal(bench.slots.active(), {"engine": "0.1.0"})
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))

    bench.run_until()

    last = bench.hub.reports[-1]
    assert (last["state"], last["code"], bench.slots.active()) == ("failed", "health_check_failed", "a")
    assert "not 1.1.0" in last["detail"]


def test_the_version_already_running_succeeds_at_once(bench: Bench) -> None:
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.0.0")))

    bench.run_until()

    assert (bench.hub.states, bench.restarts, bench.factory.service.exchanges) == (["succeeded"], 0, 0)


def test_a_finished_sequence_is_answered_once_more_and_never_installed_again(bench: Bench) -> None:
    offer = bench.factory.offer(bench.factory.firmware("1.1.0"))
    bench.hub.put(offer)
    bench.run_until()
    exchanges = bench.factory.service.exchanges

    bench.hub.put(offer)
    bench.run_until()

    assert bench.hub.states[-2:] == ["succeeded", "succeeded"]
    assert (bench.restarts, bench.factory.service.exchanges) == (1, exchanges)


def test_a_lower_sequence_is_ignored(bench: Bench) -> None:
    old = bench.factory.offer(bench.factory.firmware("1.2.0"), 4)
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0"), 5))
    bench.run_until()

    bench.hub.put(old)
    bench.run_once()

    assert [report["sequence"] for report in bench.hub.reports] == [5] * 4
    assert bench.runs == {"engine": "1.1.0"}


def test_a_device_created_anew_takes_a_first_offer_under_the_version_it_knows(bench: Bench) -> None:
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0"), 1))
    second = bench.factory.offer(bench.factory.firmware("1.2.0"), 2)
    version = bench.hub.desired["$version"]

    def create_anew(report: dict[str, object]) -> bool:
        if report["sequence"] == 1 and report["state"] == "succeeded":
            bench.hub.put(second, version=version)
            bench.hub.drop()
        return report["sequence"] == 2 and report["state"] in ENDS

    bench.run_until(create_anew)

    assert bench.runs == {"engine": "1.2.0"}


def test_reports_refused_or_cut_off_are_sent_again(bench: Bench) -> None:
    bench.hub.open_faults = [ChannelDown("away"), ChannelDown("away")]
    bench.hub.faults = [ChannelThrottled("429"), ChannelDown("cut"), ChannelThrottled("429")]
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))

    bench.run_until()

    assert bench.hub.states[-1] == "succeeded"
    assert bench.memory.unsent is None


def test_a_report_the_hub_will_never_take_is_not_sent_again(bench: Bench) -> None:
    bench.hub.faults = [ChannelRefused("400")]
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))

    bench.run_until()

    assert bench.hub.states == ["installing", "restarting", "succeeded"]


def test_a_report_the_hub_never_took_survives_the_process(bench: Bench) -> None:
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.0.0")))
    bench.points.fatal = 3  # after the end is journalled, before it is reported
    bench.run_until()

    assert bench.kills == 1
    assert bench.hub.states == ["succeeded"]


def test_an_offer_taken_back_during_the_download_stops_it(bench: Bench) -> None:
    bench.factory.service.faults.answers = [(503, {"Retry-After": "0"})] * 3
    first = bench.factory.offer(bench.factory.firmware("1.1.0"), 1)
    second = bench.factory.offer(bench.factory.firmware("1.2.0"), 2)
    bench.hub.put(first)

    def take_back(report: dict[str, object]) -> bool:
        if report["state"] == "downloading" and report["sequence"] == 1:
            bench.hub.put(None)
            bench.hub.put(second)
        return report["state"] == "succeeded"

    bench.run_until(take_back)

    assert bench.runs == {"engine": "1.2.0"}
    assert {report["state"] for report in bench.hub.reports if report["sequence"] == 1} == {"downloading"}


def test_what_was_taken_back_while_the_device_was_off_is_not_installed(bench: Bench) -> None:
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))
    bench.slots_are_full = lambda: (_ for _ in ()).throw(Killed)  # dies while it installs
    bench.on_kill = lambda: (_ for _ in ()).throw(InterruptedError)  # and stays off
    with pytest.raises(InterruptedError):
        bench.run_until()
    bench.slots_are_full = lambda: False
    bench.hub.put(None)

    bench.run_once()

    assert (bench.memory.pending, bench.runs, bench.restarts) == (None, {"engine": "1.0.0"}, 0)


def test_a_content_that_vanished_before_the_install_is_fetched_again(bench: Bench) -> None:
    def lose(report: dict[str, object]) -> bool:
        if report["state"] == "installing" and bench.factory.service.exchanges == 1:
            for path in (bench.folder / "downloads").glob("*"):
                path.unlink()
        return report["state"] in ENDS

    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))
    bench.run_until(lose)

    assert (bench.hub.states[-1], bench.factory.service.exchanges) == ("succeeded", 2)


def test_a_withdrawn_rollout_is_forgotten_quietly(bench: Bench) -> None:
    bench.factory.service.faults.answers = [(410, {})]
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0"), 1))

    def next_offer(report: dict[str, object]) -> bool:
        if report["sequence"] == 1:
            bench.hub.put(bench.factory.offer(bench.factory.firmware("1.2.0"), 2))
        return report["state"] == "succeeded"

    bench.run_until(next_offer)

    assert bench.runs == {"engine": "1.2.0"}


def test_a_device_found_running_something_else_says_so(bench: Bench) -> None:
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0")))
    bench.run_until()
    bench.run_once()
    assert bench.hub.states.count("succeeded") == 1

    bench.slots.activate("a")
    bench.run_until()

    assert bench.hub.reports[-1]["sequence"] == 1
    assert bench.hub.reports[-1]["installed"] == {"engine": "1.0.0"}


def test_a_lower_version_needs_a_signed_permission(bench: Bench) -> None:
    package = bench.factory.firmware("0.9.0")
    bench.hub.put(bench.factory.offer(package, 1))
    bench.run_until()
    assert (bench.hub.reports[-1]["state"], bench.hub.reports[-1]["code"]) == ("rejected", "downgrade_refused")

    bench.hub.put(bench.factory.offer(package, 2, allow_downgrade=True))
    bench.run_until()

    assert bench.runs == {"engine": "0.9.0"}


def test_other_hardware_and_expired_intents_are_rejected(bench: Bench) -> None:
    package = bench.factory.firmware("1.1.0")
    past = datetime(2026, 1, 2, tzinfo=UTC)
    bench.hub.put(bench.factory.offer(package, 1, issued=past, expires=past + timedelta(hours=1)))
    bench.run_until()
    bench.properties["hardware"] = "rev-a"
    bench.hub.put(bench.factory.offer(package, 2))
    bench.run_until()

    assert [report["code"] for report in bench.hub.reports] == ["intent_expired", "incompatible"]
    assert "rev-b" in bench.hub.reports[-1]["detail"]


def test_what_the_handler_cannot_install_fails_and_nothing_is_switched(bench: Bench) -> None:
    broken = make_package("tool", "1.0", b"no debian archive", PackageKind.DEBIAN)
    bench.factory.publish(broken, b"no debian archive")
    bench.hub.put(bench.factory.offer(broken))

    bench.run_until()

    last = bench.hub.reports[-1]
    assert (last["state"], last["code"], bench.restarts) == ("failed", "install_failed", 0)
    assert "dpkg" in last["detail"]
