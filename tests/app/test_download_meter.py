"""No more packages are handed out than the bandwidth can carry, however many instances hand them out."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.campaigns import Campaign
from shared.domain.downloads import GRANT_LASTS_S, GRANT_S
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rates import Pace
from shared.handlers.meter_downloads import DownloadMeter
from tests.support.made_campaigns import make_campaign
from tests.support.memory_campaigns import MemoryTraffic
from tests.support.rollouts import NOON

KIB = 1024


def campaign(length_bytes: int, bandwidth: int | None = None, name: str = "spring-fix") -> Campaign:
    found = make_campaign([DeviceId("gw-1")])
    return replace(
        found,
        id=CampaignId(name),
        package=replace(found.package, length_bytes=length_bytes),
        spec=replace(found.spec, pace=Pace(bandwidth_bytes_per_s=bandwidth)),
    )


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.floats(0, 4), st.integers(1, 600 * KIB)), min_size=1, max_size=80),
    st.integers(0, 100),
)
def test_what_is_handed_out_never_exceeds_the_bandwidth_over_any_window(
    instances: int, asked: list[tuple[float, int]], seed: int
) -> None:
    """Over any window: the bandwidth over it and over the life of a grant, and one grant or package."""
    traffic, dice, bandwidth = MemoryTraffic(), random.Random(seed), 100 * KIB
    meters = [DownloadMeter(traffic, fleet_bytes_per_s=bandwidth) for _ in range(instances)]
    now, handed_out = NOON, []
    for wait_s, length in asked:
        now += timedelta(seconds=wait_s)
        if dice.choice(meters).admit(campaign(length), length, now=now) is None:
            handed_out.append((now, length))
    biggest = max(bandwidth * GRANT_S, *(length for _, length in asked), 0)
    for first, (begin, _) in enumerate(handed_out):
        carried = 0
        for at, length in handed_out[first:]:
            carried += length
            window_s = (at - begin).total_seconds() + GRANT_LASTS_S
            assert carried <= bandwidth * window_s + biggest


def test_a_busy_bandwidth_is_used_to_the_full() -> None:
    traffic = MemoryTraffic()
    meters = [DownloadMeter(traffic, fleet_bytes_per_s=100 * KIB) for _ in range(3)]
    steps = range(0, 60_000, 50)
    got = sum(
        meters[step % 3].admit(campaign(30 * KIB), 30 * KIB, now=NOON + timedelta(milliseconds=step)) is None
        for step in steps
    )
    assert 60 * 100 / 30 * 0.9 <= got <= 60 * 100 / 30 + 4


def test_small_packages_do_not_cost_a_write_each_and_refusals_cost_nothing() -> None:
    traffic = MemoryTraffic()
    meter = DownloadMeter(traffic, fleet_bytes_per_s=100 * KIB)
    answers = [meter.admit(campaign(KIB), KIB, now=NOON) for _ in range(1000)]
    assert sum(answer is None for answer in answers) == 100
    assert traffic.calls == 2
    assert all(answer is None or answer >= 1 for answer in answers)


def test_campaigns_with_bounds_of_their_own_do_not_wait_for_each_other() -> None:
    meter = DownloadMeter(MemoryTraffic(), fleet_bytes_per_s=None)
    first, second = (campaign(KIB, KIB, name) for name in ("one", "two"))
    assert [meter.admit(each, KIB, now=NOON) is None for each in (first, first, second)] == [True, False, True]
    assert meter.admit(campaign(KIB), KIB, now=NOON) is None


def test_what_the_fleet_refuses_is_not_charged_to_the_campaign() -> None:
    meter = DownloadMeter(MemoryTraffic(), fleet_bytes_per_s=2 * KIB)
    bounded = campaign(KIB, 10 * KIB)
    assert [meter.admit(bounded, KIB, now=NOON) is None for _ in range(5)] == [True, True, False, False, False]
    assert [meter.admit(bounded, KIB, now=NOON + timedelta(seconds=1)) is None for _ in range(3)] == [True, True, False]
