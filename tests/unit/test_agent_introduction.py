"""A device says what it is before anybody offers it anything: a campaign of several packages chooses by it."""

from __future__ import annotations

import pytest

from agent.ports import ChannelDown, ChannelRefused, ChannelThrottled
from shared.wire.twins import MAX_HARDWARE_LENGTH, read_hardware
from tests.support.agent import Bench


def test_a_device_introduces_itself_once_in_its_life(bench: Bench) -> None:
    for _ in range(3):
        bench.run_once()
    assert bench.hub.introductions == 1
    assert bench.hub.reported == {"device": {"hardware": "rev-b"}}
    assert not bench.hub.reports


@pytest.mark.parametrize(
    ("reported", "introductions"),
    [
        ({"update": {"hardware": "rev-b"}}, 0),
        ({"update": {"hardware": "rev-a"}}, 1),
        ({"device": {"hardware": "rev-a"}, "update": {"hardware": "rev-b"}}, 1),
        ({"device": {"hardware": "rev-b"}, "update": {"hardware": "rev-a"}}, 0),
    ],
)
def test_what_the_twin_says_already_is_not_said_again(
    bench: Bench, reported: dict[str, dict[str, str]], introductions: int
) -> None:
    """A board that was swapped says so when it connects, whatever the old one reported last."""
    bench.hub.reported = dict(reported)
    bench.run_once()
    assert bench.hub.introductions == introductions
    assert read_hardware(bench.hub.reported) == "rev-b"


def test_a_device_that_does_not_know_what_it_is_says_nothing(bench: Bench) -> None:
    bench.properties = {}
    bench.run_once()
    assert bench.hub.introductions == 0


@pytest.mark.parametrize("error", [ChannelThrottled("429"), ChannelDown("gone"), ChannelRefused("400")])
def test_an_introduction_that_fails_keeps_no_update_from_being_installed(bench: Bench, error: Exception) -> None:
    bench.hub.introduction_faults = [error]
    bench.hub.put(bench.factory.offer(bench.factory.firmware("1.1.0", b"new image")))
    bench.run_until()
    assert bench.hub.states[-1] == "succeeded"
    assert read_hardware(bench.hub.reported) == "rev-b", "said after the restart at the latest"


@pytest.mark.parametrize(
    "reported", [None, {}, {"device": "rev-b"}, {"device": {"hardware": 7}}, {"update": {"hardware": ""}}]
)
def test_a_twin_that_does_not_say_it_as_agreed_says_nothing(reported: dict[str, object] | None) -> None:
    assert read_hardware(reported) == ""


def test_a_name_is_cut_where_reports_cut_it_and_said_once_all_the_same(bench: Bench) -> None:
    bench.properties = {"hardware": "x" * 500}
    bench.run_once()
    bench.run_once()
    assert bench.hub.introductions == 1
    assert read_hardware(bench.hub.reported) == "x" * MAX_HARDWARE_LENGTH
