"""Alerts, the workbook, the runbook and the code name the same things."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.telemetry.execution import IDS
from shared.telemetry.signals import EVENT_TO_TABLE_S, FIELDS, Signal
from tests.support.bicep import INFRA, ROOT, declared, parse, properties, text
from tests.support.functions import FUNCTIONS

ALERTS = json.loads((INFRA / "alerts.json").read_text())
WORKBOOK = json.loads((INFRA / "workbook.json").read_text())
PAGE = (ROOT / "docs/monitoring.md").read_text()
RUNBOOK = PAGE.split("\n## When an alert comes\n")[1].split("\n## ")[0]

TABLES = {"AppTraces", "AppExceptions", "AppDependencies", "AppRequests", "AzureMetrics"}
"""Of the workspace behind Application Insights; what is whose: docs/adr/0022."""

EXPORTED = {"MICROSOFT.EVENTHUB": {"IncomingMessages", "OutgoingMessages", "IncomingBytes", "OutgoingBytes"}}
"""Metrics that a diagnostic setting brings to the workspace (Azure Monitor, supported metrics, column *DS Export*)."""

_FIELD = re.compile(r'Properties\["groundswell\.(\w+)"\]')
_IS = re.compile(r'Properties\["groundswell\.signal"\] == "(\w+)"')
_METRIC = re.compile(r'\bMetricName == "(\w+)"')
_PROVIDER = re.compile(r'\bResourceProvider == "([\w.]+)"')
_NAME = re.compile(r'\bName == "(\w+)"')
_SOURCE = re.compile(r"^(?:union )?((?:\w+)(?:, \w+)*)$")


def queries() -> Iterator[tuple[str, str]]:
    """Every KQL query of alerts, workbook and page, by where it stands."""
    for rule in ALERTS["queries"]:
        yield f"alert {rule['name']}", "\n".join(rule["query"])
    for item in WORKBOOK["items"]:
        if item["type"] == 3:
            yield f"workbook {item['name']}", item["content"]["query"]
    for number, block in enumerate(re.findall(r"^```kusto\n(.+?)\n```$", PAGE, re.M | re.S)):
        yield f"page {number}", block


QUERIES = dict(queries())


def _code(folder: str) -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / folder).rglob("*.py")))


@pytest.mark.parametrize("place", QUERIES)
def test_a_query_asks_for_what_the_code_sends(place: str) -> None:
    query = QUERIES[place]
    source = _SOURCE.fullmatch(query.splitlines()[0])
    assert source is not None
    assert set(source[1].split(", ")) <= TABLES

    signals = [Signal(name) for name in _IS.findall(query)]
    asked = set(_FIELD.findall(query)) - {"signal"}
    assert len(signals) <= 2
    # What a query of two signals asks for, both have.
    assert asked <= (set.intersection(*(set(FIELDS[signal]) for signal in signals)) if signals else set(IDS))
    assert set(_NAME.findall(query)) <= FUNCTIONS.keys()
    # What is named otherwise, under another prefix perhaps, would never be found.
    assert re.findall(r"Properties\[(?!\"groundswell\.)", query) == []


@pytest.mark.parametrize("place", [place for place, query in QUERIES.items() if "MetricName" in query])
def test_a_query_of_metrics_asks_for_what_is_exported_and_sent(place: str) -> None:
    query = QUERIES[place]
    [provider] = set(_PROVIDER.findall(query))
    metrics = _METRIC.findall(query)
    assert metrics
    assert set(metrics) <= EXPORTED[provider]
    module = {"MICROSOFT.EVENTHUB": "eventhubs"}[provider]
    resources = declared(parse((INFRA / f"modules/{module}.bicep").read_bytes()), "resource")
    [setting] = [text(node) for node in resources.values() if "diagnosticSettings@" in text(node)]
    [watched] = re.findall(r"scope: (\w+)", setting)
    assert f"'{provider}/namespaces@".lower() in text(resources[watched]).lower()
    assert "workspaceId: workspaceId, metrics: [{ category: 'AllMetrics', enabled: true }]" in setting
    main = declared(parse((INFRA / "main.bicep").read_bytes()), "module")
    assert "workspaceId: monitoring.outputs.workspaceId" in text(main[module])


def test_the_search_finds_a_wrong_name() -> None:
    assert _IS.findall('| where Properties["groundswell.signal"] == "no_such"') == ["no_such"]
    with pytest.raises(ValueError, match="no_such"):
        Signal("no_such")


def test_every_signal_is_emitted_by_the_code_and_seen_by_an_operator() -> None:
    emitted = set(re.findall(r"emit\(\s*log,\s*Signal\.(\w+)", _code("shared")))
    assert emitted == set(Signal.__members__)
    shown = {name for place, query in QUERIES.items() if place.startswith("workbook") for name in _IS.findall(query)}
    assert shown == set(Signal)


def test_every_signal_has_an_alert() -> None:
    watched = {name for place, query in QUERIES.items() if place.startswith("alert") for name in _IS.findall(query)}
    assert watched == set(Signal)


def test_the_page_lists_the_signals_with_their_fields() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([^|]*)\|$", PAGE.split("| signal | says | fields |")[1], re.M)
    listed = {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in rows if name in set(Signal)}
    assert listed == {signal.value: set(fields) for signal, fields in FIELDS.items()}


def test_every_alert_has_a_paragraph_and_every_paragraph_an_alert() -> None:
    names = {rule["name"] for rule in [*ALERTS["queries"], *ALERTS["metrics"]]}
    assert set(re.findall(r"^### (\S+)$", RUNBOOK, re.M)) == names
    for paragraph in re.split(r"^### ", RUNBOOK, flags=re.M)[1:]:
        for part in ("*Means:*", "*Look at:*", "*Do:*"):
            assert paragraph.count(part) == 1, paragraph[:30]


def test_names_of_rules_differ() -> None:
    names = [f"{rule['name']}-{rule.get('scope', '')}" for rule in [*ALERTS["queries"], *ALERTS["metrics"]]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", ALERTS["queries"], ids=lambda rule: rule["name"])
def test_a_query_rule_is_what_azure_takes(rule: dict[str, Any]) -> None:
    assert rule["severity"] in range(5)
    assert rule["operator"] in {"GreaterThan", "LessThan"}
    # Frequencies and windows of log search alerts (learn.microsoft.com, alerts-create-log-alert-rule).
    assert rule["every"] in {"PT5M", "PT15M", "PT1H"}
    assert rule["window"] in {"PT15M", "PT1H", "PT2H", "PT3H", "P1D", "P2D"}
    query = QUERIES[f"alert {rule['name']}"]
    assert not rule["split"] or f"extend {rule['split']} = " in query
    if rule["measure"]:
        assert rule["aggregation"] in {"Total", "Maximum", "Minimum"}
        assert f"extend {rule['measure']} = " in query
    else:
        assert rule["aggregation"] == "Count"


@pytest.mark.parametrize("rule", [rule for rule in ALERTS["queries"] if "ago(" in "\n".join(rule["query"])])
def test_a_query_that_looks_at_the_clock_says_itself_how_far_it_looks_back(rule: dict[str, Any]) -> None:
    """Azure widens a rule's window to two days where its query says ``ago``, and a sum would go on for that long."""
    hours = re.fullmatch(r"PT(\d+)H", rule["window"])
    assert hours is not None
    assert rule["query"][1] == f"| where TimeGenerated > ago({hours[1]}h)"


def test_what_is_promised_stands_in_one_place_each() -> None:
    [rule] = [rule for rule in ALERTS["queries"] if rule["name"] == "event-to-table"]
    assert f"{100 - rule['threshold']} % of the reports are in the table within {EVENT_TO_TABLE_S:.0f} s" in PAGE


@pytest.mark.parametrize("rule", ALERTS["metrics"], ids=lambda rule: f"{rule['name']}-{rule['scope']}")
def test_a_metric_rule_watches_what_is_deployed(rule: dict[str, Any]) -> None:
    modules = {"Microsoft.ServiceBus/namespaces": "servicebus", "Microsoft.EventGrid/topics": "eventgrid"}
    modules["Microsoft.EventGrid/systemTopics"] = "eventgrid"
    source = (INFRA / f"modules/{modules[rule['namespace']]}.bicep").read_text()
    assert f"'{rule['namespace']}@" in source
    main = parse((INFRA / "main.bicep").read_bytes())
    scopes = properties(properties(declared(main, "module")["alerts"])["params"])["scopes"]
    assert set(properties(scopes)) == {one["scope"] for one in ALERTS["metrics"]}


def test_the_template_uses_every_field_of_the_rules() -> None:
    source = (INFRA / "modules/alerts.bicep").read_text()
    used = set(re.findall(r"\brule\.(\w+)", source))
    assert used == {name for rule in [*ALERTS["queries"], *ALERTS["metrics"]] for name in rule}
    resources = declared(parse(source.encode()), "resource")
    assert {name: text(node).count("actionGroup") > 0 for name, node in resources.items() if name != "workbook"} == {
        "people": True,
        "queries": True,
        "metrics": True,
    }


def test_the_workbook_is_one() -> None:
    assert WORKBOOK["version"] == "Notebook/1.0"
    names = [item["name"] for item in WORKBOOK["items"]]
    assert len(names) == len(set(names))
    [parameters] = [item["content"]["parameters"] for item in WORKBOOK["items"] if item["type"] == 9]
    known = {parameter["name"] for parameter in parameters}
    shown = [item["content"] for item in WORKBOOK["items"] if item["type"] == 3]
    assert all(content["timeContextFromParameter"] in known for content in shown)
    asked = {name for content in shown for name in re.findall(r"{(\w+)}", content["query"])}
    assert asked == {"Campaign", "Device"} <= known


def test_links_of_the_runbook_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.+)$", PAGE, re.M)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(#([^)]+)\)", PAGE):
        assert target in anchors, target
    for target in re.findall(r"\]\(([\w/]+\.md)", PAGE):
        assert Path(ROOT / "docs" / target).is_file(), target
