"""Each alert fires where it should and not just below: over the handlers' own signals, by the rule's own query."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.core.exceptions import HttpResponseError

from shared.adapters.azure_blob_errors import blob_errors
from shared.adapters.azure_hub_errors import outcome_of_code
from shared.adapters.azure_table_errors import table_errors
from shared.domain.campaigns import CampaignState
from shared.domain.ids import DeviceId
from shared.domain.waves import WaveState
from shared.handlers.alerts import raise_alert
from shared.handlers.hub_verdicts import adjust_rate
from shared.handlers.keep_campaign import announce
from shared.handlers.reconcile import ReconcilePorts, reconcile
from shared.handlers.watch_index import watch_index
from shared.ports.errors import QuotaExceeded, Throttled
from shared.ports.hub import TwinOutcome, TwinResult
from shared.telemetry.signals import Signal, emit
from shared.trust.policy import Expiries
from shared.wire.twin_events import RawTwinEvent
from shared.wiring.telling import tell_lag
from tests.support.bicep import ROOT
from tests.support.data_plane import DataPlane
from tests.support.made_campaigns import make_campaign
from tests.support.memory_bus import MemoryEvents
from tests.support.memory_campaigns import MemoryBudget
from tests.support.repository import Repository
from tests.support.rollouts import NOON
from tests.support.spans import records_sent
from tests.support.workspace import KUSTO_TYPES, TABLES, Workspace
from tests.unit.test_infra_alerts import ALERTS, QUERIES

log = logging.getLogger("shared.handlers.made_up")


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


@pytest.fixture(autouse=True)
def _sent(workspace: Workspace) -> Iterator[None]:
    """Whatever is logged comes to the workspace, by the handler that sends records."""
    with records_sent(lambda text, fields: workspace.say(fields, message=text)):
        yield


def offered(count: int) -> DataPlane:
    """A campaign whose devices all have their offers."""
    plane = DataPlane([f"gw-{number}" for number in range(count)])
    for batch in plane.batches:
        plane.dispatch(batch)
    return plane


def throttle(calls: int) -> None:
    results = [TwinResult(device=DeviceId(f"gw-{n}"), outcome=TwinOutcome.THROTTLED) for n in range(calls)]
    adjust_rate(MemoryBudget(50.0), results, now=NOON)


def fold_after(seconds: float, *, late: int = 2, of: int = 100) -> None:
    """Some devices' reports reach the table so long after the write to the twin, the others' at once."""
    plane = offered(of)
    for names, now_s in ((plane.names[late:], 1.0), (plane.names[:late], seconds + 1)):
        plane.events.events.clear()
        plane.relay([plane.says(name, "installing", 1) for name in names])
        plane.now = NOON + timedelta(seconds=now_s)
        plane.fold()


def fold_lately(workspace: Workspace) -> None:
    """Reports come to the table, minutes ago."""
    with workspace.as_of(timedelta(minutes=5)):
        fold_after(1)


def find_differences(count: int) -> None:
    plane = offered(30)
    for name in plane.names[:count]:
        plane.says(name, "succeeded", 1)
    plane.pass_time(3600)
    ports = ReconcilePorts(campaigns=plane.campaigns, twins=plane.hub, fold=plane.fold_ports())
    assert reconcile(ports, now=plane.now) == count


def stop(*, by_gate: bool) -> None:
    before = make_campaign([DeviceId("gw-1")])
    after = replace(before, state=CampaignState.PAUSED, reason="stopped")
    failed = replace(after.waves[0], state=WaveState.FAILED) if by_gate else after.waves[0]
    announce(MemoryEvents(), before, after.with_wave(failed))


def refresh(days: int = 400) -> None:
    repository = Repository(expiries=replace(Expiries(), root=timedelta(days=days)))
    watch_index(repository.writer(), repository.events, now=repository.now)


def lie(seconds: float, reports: int = 1) -> None:
    waited = RawTwinEvent(body=b"", properties={}, system_properties={}, enqueued_at=NOON)
    tell_lag([waited, replace(waited, enqueued_at=None)], reports=reports, now=NOON + timedelta(seconds=seconds))


def come(workspace: Workspace, minutes_ago: float, count: int = 1) -> None:
    """Devices report: the event hub counts what its namespace took in."""
    workspace.measure("IncomingMessages", count, ago=timedelta(minutes=minutes_ago))


def carry_on(workspace: Workspace, minutes_ago: float, reports: int = 1) -> None:
    """The relay's own signal, as of then."""
    with workspace.as_of(timedelta(minutes=minutes_ago)):
        lie(1, reports=reports)


def use_up_quota() -> None:
    with pytest.raises(QuotaExceeded):
        outcome_of_code("403002", "")


def fail(workspace: Workspace, times: int, code: str = "500") -> None:
    for _ in range(times):
        workspace.request(succeeded=False, code=code)


def resume() -> None:
    """What the timer says first; the scenario of telemetry runs it."""
    emit(log, Signal.RESUMED, "looking for overdue steps")


def look_for_differences() -> None:
    plane = offered(1)
    reconcile(ReconcilePorts(campaigns=plane.campaigns, twins=plane.hub, fold=plane.fold_ports()), now=plane.now)


def park() -> None:
    """What the adapter says; the scenario has it park something."""
    emit(log, Signal.PARKED, "parked", source="device-batches", code="unknown_version")


type Situation = Callable[[Workspace], object]

SITUATIONS: dict[str, tuple[Situation, Situation]] = {
    "parked": (lambda _: park(), lambda _: throttle(1)),
    "throttling": (lambda _: throttle(101), lambda _: throttle(100)),
    "quota": (lambda _: use_up_quota(), lambda _: throttle(1)),
    "stopped-by-gate": (lambda _: stop(by_gate=True), lambda _: stop(by_gate=False)),
    "index-expiry": (lambda _: refresh(days=29), lambda _: refresh(days=31)),
    "index-not-refreshed": (lambda _: lie(0), lambda _: refresh()),
    "reconcile-differences": (lambda _: find_differences(21), lambda _: find_differences(20)),
    "relay-lag": (lambda _: lie(301), lambda _: lie(299)),
    "relay-silence": (lambda here: come(here, 30), lambda here: (come(here, 30), carry_on(here, 29.9))),
    "fold-silence": (
        lambda here: carry_on(here, 30, reports=20),
        lambda here: (carry_on(here, 30, reports=100), fold_lately(here)),
    ),
    "event-to-table": (lambda _: fold_after(61), lambda _: fold_after(59)),
    "somebody-should-look": (
        lambda _: raise_alert(MemoryEvents(), subject="index", code="root_expires", message="sign", now=NOON),
        lambda _: stop(by_gate=False),
    ),
    "function-failures": (
        lambda here: fail(here, 11),
        lambda here: (fail(here, 10), fail(here, 20, "404"), fail(here, 20, "503")),
    ),
    "silence": (lambda _: look_for_differences(), lambda _: resume()),
    "field-silence": (lambda _: resume(), lambda _: look_for_differences()),
}
"""Alert to what it is for, and to what is not enough for it."""


@pytest.mark.parametrize("rule", ALERTS["queries"], ids=lambda rule: rule["name"])
def test_an_alert_fires_for_what_it_is_for(workspace: Workspace, rule: dict[str, object]) -> None:
    happens, _ = SITUATIONS[str(rule["name"])]
    happens(workspace)
    assert workspace.fires(rule)


@pytest.mark.parametrize("rule", ALERTS["queries"], ids=lambda rule: rule["name"])
def test_an_alert_is_quiet_for_what_is_not_enough(workspace: Workspace, rule: dict[str, object]) -> None:
    _, is_not_enough = SITUATIONS[str(rule["name"])]
    is_not_enough(workspace)
    assert not workspace.fires(rule)


def test_one_late_report_in_a_hundred_keeps_the_promise(workspace: Workspace) -> None:
    [rule] = [rule for rule in ALERTS["queries"] if rule["name"] == "event-to-table"]
    fold_after(3_600, late=1)
    assert not workspace.fires(rule)


@pytest.mark.parametrize(
    ("came", "carried", "fires"),
    [
        # Nothing comes: a quiet fleet wakes nobody, for however long.
        ([], [], False),
        ([], [170], False),
        # The first changes after a quiet time; an instance has to start first, and metrics to arrive.
        ([1], [], False),
        ([15], [170], False),
        ([15, 16, 17], [], False),
        # It never could read, and it cannot read any more.
        ([22], [], True),
        ([150, 30, 10], [150], True),
        # It reads late, but it reads.
        ([150, 30], [29], False),
        # Clocks and the minutes of metrics differ a little.
        ([30], [30.5], False),
        # Before the window.
        ([200], [], False),
        # Hours of work, and the last change is carried on.
        ([170, 120, 60, 30, 5], [169, 119, 59, 29], False),
    ],
)
def test_the_relay_is_missed_only_when_something_came(
    workspace: Workspace, came: list[float], carried: list[float], fires: bool
) -> None:
    [rule] = [rule for rule in ALERTS["queries"] if rule["name"] == "relay-silence"]
    for minutes in came:
        come(workspace, minutes)
    for minutes in carried:
        carry_on(workspace, minutes)
    assert workspace.fires(rule) is fires


@pytest.mark.parametrize(("minutes_ago", "reports"), [(10, 500), (30, 10), (70, 500)])
def test_reports_on_their_way_and_a_few_that_change_nothing_are_no_silence(
    workspace: Workspace, minutes_ago: float, reports: int
) -> None:
    """A report that comes twice is carried on twice, and folded once."""
    [rule] = [rule for rule in ALERTS["queries"] if rule["name"] == "fold-silence"]
    carry_on(workspace, minutes_ago, reports=reports)
    assert not workspace.fires(rule)


def test_whoever_else_reads_the_event_hub_does_not_hide_the_silence(workspace: Workspace) -> None:
    """And minutes in which nothing came are reported as zero, or not at all."""
    [rule] = [rule for rule in ALERTS["queries"] if rule["name"] == "relay-silence"]
    for minutes in range(25, 60):
        come(workspace, minutes, 0)
    assert not workspace.fires(rule)
    come(workspace, 40)
    workspace.measure("OutgoingMessages", 1, ago=timedelta(minutes=40))
    assert workspace.fires(rule)


def test_what_the_host_leaves_out_when_it_samples_counts(workspace: Workspace) -> None:
    """Under load it sends some traces a second only, each with the number that it stands for."""
    [rule] = [rule for rule in ALERTS["queries"] if rule["name"] == "function-failures"]
    workspace.request(succeeded=False, stands_for=11)
    assert workspace.fires(rule)


@pytest.mark.parametrize(
    ("name", "happens"),
    [
        ("stopped-by-gate", lambda: stop(by_gate=True)),
        (
            "somebody-should-look",
            lambda: raise_alert(MemoryEvents(), subject="index", code="root_expires", message="sign", now=NOON),
        ),
    ],
)
def test_each_has_an_alert_of_its_own(workspace: Workspace, name: str, happens: Callable[[], object]) -> None:
    """A rule that has fired says nothing of the next one until it was well for a while."""
    [rule] = [rule for rule in ALERTS["queries"] if rule["name"] == name]
    happens()
    [row] = workspace.ask("\n".join(rule["query"]))
    assert row[rule["split"]] in {"spring-fix", "root_expires index"}


def test_a_report_that_comes_twice_counts_once(workspace: Workspace) -> None:
    plane = offered(1)
    told = plane.says(plane.names[0], "installing", 1)
    for seconds in (2, 3_600):
        plane.relay([told])
        plane.now = NOON + timedelta(seconds=seconds)
        plane.fold()
    [said] = workspace.ask('AppTraces | where Properties["groundswell.signal"] == "folded"')
    fields = json.loads(said["Properties"])
    assert (fields["groundswell.reports"], fields["groundswell.late"]) == ("1", "0")


def test_a_refresh_tells_of_every_role(workspace: Workspace) -> None:
    refresh()
    rows = workspace.ask(QUERIES["workbook index"])
    assert {row["role"]: round(row["days_left"]) for row in rows} == {
        "root": 400, "targets": 365, "snapshot": 30, "timestamp": 4,
    }  # fmt: skip


@pytest.mark.parametrize(("service", "errors"), [("tables", table_errors), ("blobs", blob_errors)])
def test_whoever_refuses_is_named(
    workspace: Workspace, service: str, errors: Callable[[], AbstractContextManager[None]]
) -> None:
    error = HttpResponseError("busy")
    error.status_code = 503
    with pytest.raises(Throttled), errors():
        raise error
    [row] = workspace.ask(QUERIES["workbook throttling"])
    assert (row["service"], row["calls"]) == (service, 1)


@pytest.mark.parametrize("place", QUERIES)
def test_every_query_runs_over_what_was_sent(workspace: Workspace, place: str) -> None:
    workspace.ask(QUERIES[place])


def test_every_query_is_kql_and_knows_its_columns() -> None:
    """By Microsoft's own language service; a wrong column beside them is found."""
    asked = {"tables": KUSTO_TYPES, "queries": QUERIES | {"wrong": "AppTraces | where Nonsense == 1"}}
    script = ROOT / "tests/assets/kql_check.cjs"
    found = subprocess.run(["node", str(script)], input=json.dumps(asked), capture_output=True, text=True, check=True)
    answers = json.loads(found.stdout)
    assert "Nonsense" in answers.pop("wrong")[0]
    assert {place: complaints for place, complaints in answers.items() if complaints} == {}
    assert answers.keys() == QUERIES.keys()
    assert KUSTO_TYPES.keys() == TABLES.keys()
