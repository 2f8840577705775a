"""What an operator is told to think about, and what can never work."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from shared.domain.campaign_specs import CampaignSpec, Deadlines, DeviceQuery
from shared.domain.cohorts import Quarantine
from shared.domain.forecast import ForecastInputs, HubRoom, WaveLoad, forecast
from shared.domain.gates import Gate
from shared.domain.hearsay import Hearsay, Named
from shared.domain.ids import DeviceId
from shared.domain.plan_checks import find_impossible, sizes_of
from shared.domain.plan_facts import PlanFacts, PlanWarning
from shared.domain.plan_findings import Findings
from shared.domain.plan_warnings import find_warnings
from shared.domain.rollouts import PackageTarget
from shared.domain.schedules import AtEnd, Schedule
from shared.domain.targeting import Membership, Targeting
from shared.domain.waves import DeviceCount, Percent, Rest, WaveSpec
from shared.domain.windows import Window

MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
CALM = Gate(success_percent=95, failure_percent=2)
DAY = MONDAY + timedelta(days=1)
FRIDAY_22 = datetime(2026, 1, 9, 22, tzinfo=UTC)
PATIENT = Deadlines(downloading_s=7 * 86_400)
WEEKLY = Window(days=(5,), start=time(22), end=time(4), zone="UTC")
SPEC = CampaignSpec(
    name="spring",
    package=PackageTarget(name="tool", version="2"),
    targets=DeviceQuery(query="SELECT * FROM devices"),
    waves=(
        WaveSpec(name="canary", size=DeviceCount(devices=10), gate=CALM),
        WaveSpec(name="all", size=Rest(), gate=CALM),
    ),
)
FROM_A_LIST = replace(SPEC, targeting=Targeting(list_name="pilots.txt"))
ONE = Named(count=1, first=(DeviceId("gw-1"),))
TWO = replace(SPEC, other_packages=(PackageTarget(name="other", version="2.0.0"),))
BOTH = replace(CALM, failure_percent=2, failure_count=15)
SIZED_FOR_BOTH = replace(SPEC, waves=tuple(replace(wave, gate=BOTH) for wave in SPEC.waves))
"""In the first wave only the share can stop anything, and in the second only the count."""
QUARANTINING = replace(SPEC, quarantine=Quarantine(minimum=3))
HUB = HubRoom(rate_per_s=50, ceiling_per_s=50, messages_per_day=400_000)


def facts(spec: CampaignSpec = SPEC, sizes: tuple[int, ...] = (10, 990), **changes: Any) -> PlanFacts:
    loads = [WaveLoad(number=n, name=f"w{n}", devices=size, offers=size) for n, size in enumerate(sizes, start=1)]
    inputs = ForecastInputs(
        waves=loads,
        hub=changes.get("hub", HUB),
        package_bytes=1,
        windows=spec.windows,
        begins_at=(spec.schedule and spec.schedule.start_at) or MONDAY,
    )
    return PlanFacts(spec=spec, inputs=inputs, forecast=forecast(inputs), findings=changes.get("findings", Findings()))


def unheard(count: int, *, looked_at: int = 1_000) -> Findings:
    named = Named(count=count, first=tuple(DeviceId(f"gw-{number}") for number in range(min(count, 10))))
    return Findings(heard=Hearsay(looked_at=looked_at, unheard=named))


def gated(**gate: Any) -> CampaignSpec:
    return replace(SPEC, waves=(replace(SPEC.waves[0], gate=replace(CALM, **gate)), SPEC.waves[1]))


def scheduled(**schedule: Any) -> CampaignSpec:
    return replace(SPEC, schedule=Schedule(**schedule))


def found(of: PlanFacts) -> list[tuple[str, str]]:
    return [(warning.code, warning.field) for warning in find_warnings(of)]


def test_a_careful_campaign_has_no_warnings() -> None:
    assert find_warnings(facts()) == []


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (facts(sizes=(10, 0)), [("empty_wave", "waves.1")]),
        (facts(sizes=(300, 700)), [("large_first_wave", "waves.0")]),
        (facts(sizes=(5, 5)), []),
        (facts(gated(success_percent=100)), [("gate_without_slack", "waves.0.gate.success_percent")]),
        (facts(gated(failure_percent=None)), [("gate_without_bound", "waves.0.gate.failure_percent")]),
        (facts(gated(failure_percent=None, failure_count=3)), []),
        (facts(QUARANTINING), [("hidden_cohort", "waves.0.gate.failure_percent")]),
        (facts(QUARANTINING, sizes=(2, 998)), []),
        (facts(replace(gated(minimum_completed=3), quarantine=Quarantine())), []),
        (facts(replace(gated(failure_percent=20), quarantine=Quarantine())), []),
        (facts(replace(gated(failure_percent=None, failure_count=3), quarantine=Quarantine())), []),
        (facts(replace(gated(confidence_percent=95), quarantine=Quarantine())), []),
        (facts(gated(failure_percent=0, failure_count=3)), [("idle_limit", "waves.0.gate.failure_count")]),
        (facts(gated(failure_percent=0, failure_count=3, minimum_completed=3)), []),
        (facts(gated(failure_percent=20, failure_count=2)), [("idle_limit", "waves.0.gate.failure_percent")]),
        (facts(gated(failure_percent=20, failure_count=3)), []),
        (facts(gated(failure_percent=0, failure_count=3, confidence_percent=95)), []),
        (facts(gated(silent_percent=None, silent_count=11)), [("idle_limit", "waves.0.gate.silent_count")]),
        (facts(SIZED_FOR_BOTH), []),
        (facts(gated(minimum_completed=11)), [("minimum_above_wave", "waves.0.gate.minimum_completed")]),
        (
            facts(replace(SPEC, deadlines=Deadlines(offered_s=98))),
            [("short_offer_deadline", "deadlines.offered_s")],
        ),
        (facts(replace(SPEC, deadlines=Deadlines(offered_s=99))), []),
        (
            facts(replace(SPEC, windows=(WEEKLY,))),
            [("short_window_deadline", "deadlines.downloading_s")],
        ),
        (facts(replace(SPEC, windows=(WEEKLY,), deadlines=Deadlines(downloading_s=7 * 86_400))), []),
        (facts(findings=Findings(held=3)), [("devices_held", "on_conflict")]),
        (facts(findings=unheard(500)), [("unheard_devices", "targets.devices")]),
        (facts(findings=unheard(501)), [("fleet_unheard_of", "targets.devices")]),
        (facts(findings=unheard(50, looked_at=100)), [("unheard_devices", "targets.devices")]),
        (facts(findings=unheard(51, looked_at=100)), []),
        (facts(FROM_A_LIST, findings=unheard(1)), [("unheard_devices", "targets.list")]),
        (facts(findings=Findings(heard=Hearsay(looked_at=9, gone=ONE))), [("gone_devices", "targets.devices")]),
        (facts(findings=Findings(newer=2)), [("newer_devices", "allow_downgrade")]),
        (facts(replace(SPEC, allow_downgrade=True), findings=Findings(newer=2)), []),
        (facts(findings=Findings(current=1_000)), [("nothing_to_do", "package.version")]),
        (facts(findings=Findings(unfit_by_wave=((1, 2), (2, 5)))), [("no_package", "packages")]),
        (facts(findings=Findings(unknown_hardware=7)), [("unknown_hardware", "packages")]),
        (facts(TWO, findings=Findings(by_variant=(1_000, 0), looked_at=1_000)), [("unused_package", "packages.1")]),
        (facts(TWO, findings=Findings(by_variant=(990, 0), looked_at=990)), []),
        (facts(TWO, findings=Findings(current=1_000)), [("nothing_to_do", "packages")]),
        (facts(hub=replace(HUB, messages_per_day=6_999)), [("daily_quota", "targets")]),
        (facts(hub=replace(HUB, messages_per_day=7_000)), []),
        (facts(hub=replace(HUB, rate_per_s=25)), [("hub_slowed", "targets")]),
        (facts(scheduled(end_at=MONDAY + timedelta(seconds=99))), [("schedule_too_short", "schedule.end_at")]),
        (facts(scheduled(end_at=MONDAY + timedelta(seconds=100))), []),
        (
            facts(scheduled(start_at=DAY, end_at=DAY + timedelta(seconds=99))),
            [("schedule_too_short", "schedule.end_at")],
        ),
        (facts(scheduled(start_at=DAY, end_at=DAY + timedelta(seconds=100))), []),
        (facts(scheduled(start_at=DAY)), []),
        (
            facts(replace(scheduled(end_at=FRIDAY_22), windows=(WEEKLY,), deadlines=PATIENT)),
            [("schedule_too_short", "schedule.end_at")],
        ),
        (
            facts(replace(scheduled(end_at=FRIDAY_22 + timedelta(hours=1)), windows=(WEEKLY,), deadlines=PATIENT)),
            [],
        ),
        (
            facts(replace(SPEC, targeting=Targeting(membership=Membership.DYNAMIC))),
            [("newcomers_not_counted", "targets.membership")],
        ),
    ],
)
def test_each_thought_comes_when_it_should(of: PlanFacts, expected: list[tuple[str, str]]) -> None:
    assert found(of) == expected


def test_a_warning_says_what_was_counted() -> None:
    (warning,) = find_warnings(facts(sizes=(300, 700)))
    assert warning == PlanWarning(
        code="large_first_wave",
        field="waves.0",
        message="the first wave 'canary' holds 300 of 1000 devices (30 %): a bad package reaches all of them before a "
        "gate has anything to say; begin with a smaller one",
    )


@pytest.mark.parametrize(
    ("count", "names"), [(1, "(gw-0)"), (3, "(gw-0, gw-1, gw-2)"), (4, "(gw-0, gw-1, gw-2, …)"), (20, "gw-2, …)")]
)
def test_the_first_whom_nobody_has_heard_of_are_named(count: int, names: str) -> None:
    (warning,) = find_warnings(facts(findings=unheard(count)))
    assert f"nobody has heard of {count} of 1000 devices (" in warning.message
    assert names in warning.message


def test_a_schedule_that_is_too_short_is_told_in_times() -> None:
    (warning,) = find_warnings(facts(scheduled(start_at=DAY, end_at=DAY + timedelta(seconds=60), at_end=AtEnd.CANCEL)))
    assert warning.message == (
        "it begins at 2026-01-06 12:00 UTC and takes until 2026-01-06 12:01 UTC at least, and its schedule ends at "
        "2026-01-06 12:01 UTC: it would be cancelled before wave 2 (w2) can have passed, with 990 devices in that wave "
        "and those after it"
    )


def waves(*sizes: Any, minimum: int = 1) -> list[WaveSpec]:
    gate = Gate(minimum_completed=minimum)
    return [WaveSpec(name=f"w{number}", size=size, gate=gate) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("specs", "devices", "complaint"),
    [
        (waves(Percent(percent=60), Percent(percent=40.2)), 0, "waves: the percentages add up to 100.2, more than 100"),
        (waves(Percent(percent=60), Percent(percent=41)), 0, "waves: the percentages add up to 101, more than 100"),
        (waves(DeviceCount(devices=3), Rest(), minimum=4), 0, "waves.0.gate.minimum_completed: 4 devices can never"),
        (waves(Percent(percent=10), Rest(), minimum=4), 30, "waves.0.gate.minimum_completed: 4 devices .* wave of 3"),
        (waves(Rest(), minimum=31), 30, "waves.0.gate.minimum_completed: 31 devices can never end in a wave of 30"),
    ],
)
def test_what_can_never_work_names_its_field(specs: list[WaveSpec], devices: int, complaint: str) -> None:
    (sentence,) = find_impossible(specs, sizes_of(specs, devices))
    assert re.match(complaint, sentence)


@pytest.mark.parametrize(
    ("specs", "devices"),
    [
        (waves(*[Percent(percent=100 / 3)] * 3), 0),
        (waves(Percent(percent=10), Rest(), minimum=4), 0),
        (waves(DeviceCount(devices=5), Rest(), minimum=4), 5),
        (waves(DeviceCount(devices=4), Rest(), minimum=4), 0),
    ],
)
def test_what_may_work_is_let_through(specs: list[WaveSpec], devices: int) -> None:
    assert find_impossible(specs, sizes_of(specs, devices)) == []
