"""What the templates write down is what Microsoft's models of the same API versions know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.azure_types import MODELS, TYPES, complaints, resources
from tests.support.bicep import INFRA, parse, templates

ALERTS = json.loads((INFRA / "alerts.json").read_text())
HUB = """
param units int
var routing = { routes: [{ name: 'all', source: 'TwinChangeEvents', endpointNames: ['changes'], isEnabled: true }] }
resource hub 'Microsoft.Devices/IotHubs@2023-06-30' = [for (place, i) in ['a', 'b']: {
  name: 'hub-${i}'
  location: place
  sku: { name: 'S1', capacity: units }
  properties: union({ minTlsVersion: '1.2', disableLocalAuth: true }, { routing: routing })
}]
"""


def said(source: str) -> list[str]:
    return [one.split(": ", 1)[1] for one in complaints(parse(source.encode()))]


@pytest.mark.parametrize("template", templates(), ids=lambda path: path.name)
def test_a_template_says_nothing_that_azure_does_not_know(template: Path) -> None:
    assert complaints(parse(template.read_bytes())) == []


def test_all_that_is_recorded_is_used() -> None:
    made = {name for template in templates() for name, _ in resources(parse(template.read_bytes()))}
    assert made == set(TYPES)


def test_a_hub_that_is_right_is_taken() -> None:
    assert said(HUB) == []


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("disableLocalAuth", "disableLocalAuthentication", ".properties has no disableLocalAuthentication"),
        (
            "isEnabled: true",
            "isEnabled: 'true'",
            ".properties.routing.routes[].isEnabled is of the type string, and should be bool",
        ),
        (
            "['changes']",
            "'changes'",
            ".properties.routing.routes[].endpointNames is of the type string, and should be list",
        ),
        ("source: 'TwinChangeEvents', ", "", ".properties.routing.routes[] lacks source"),
        ("'TwinChangeEvents'", "'TwinChanges'", ".properties.routing.routes[].source is TwinChanges, and is known as"),
        ("'1.2'", "12", ".properties.minTlsVersion is of the type int, and should be string"),
        ("name: 'S1', capacity: units", "name: 'S1', units: units", ".sku has no units"),
        ("  location: place\n", "", " lacks location"),
        ("2023-06-30", "2023-06-31", "nothing is recorded of Microsoft.Devices/IotHubs@2023-06-31"),
    ],
)
def test_what_azure_does_not_know_is_found(right: str, wrong: str, complaint: str) -> None:
    assert right in HUB
    assert any(complaint in one for one in said(HUB.replace(right, wrong)))


def test_the_kind_of_an_object_says_what_it_may_hold() -> None:
    source = (INFRA / "subscriptions.bicep").read_text()
    [complaint] = said(source.replace("endpointType: 'WebHook'", "endpointType: 'AzureFunction'"))
    assert complaint.endswith(".destination.properties has no endpointUrl")


def test_rules_are_made_of_words_that_azure_knows() -> None:
    """The templates take these out of alerts.json."""
    query, metric = (MODELS[f"monitor.{name}"]["properties"] for name in ("Condition", "MetricCriteria"))
    assert {rule["aggregation"] for rule in ALERTS["queries"]} <= words(query["timeAggregation"])
    assert {rule["operator"] for rule in ALERTS["queries"]} <= words(query["operator"])
    assert {rule["aggregation"] for rule in ALERTS["metrics"]} <= words(metric["timeAggregation"])


def words(shape: Any) -> set[str]:
    return set(shape["words"])
