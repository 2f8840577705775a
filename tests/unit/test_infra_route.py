"""What the hub passes on to the relay: changes of the reported ``update``, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from emulator.eventhub.conditions import Routed, parse_condition
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import OrderMark, Report, RolloutState
from shared.wire.twins import write_report
from tests.support.bicep import INFRA

REPORT = write_report(
    Report(
        device=DeviceId("gw-1"),
        campaign=CampaignId("spring"),
        wave=1,
        attempt=1,
        sequence=1,
        state=RolloutState.DOWNLOADING,
        installed={"gateway-app": "1.0"},
        agent_version="1",
        hardware="board",
        mark=OrderMark(last_updated=datetime(2026, 1, 1, tzinfo=UTC), version=1),
    )
)
PRIMITIVES = {key: value for key, value in REPORT.items() if isinstance(value, str | int)}
[ROUTE] = json.loads((INFRA / "local/cloud.json").read_text())["iotHub"]["routes"]


def is_routed(section: str, document: object) -> bool:
    body = {"version": 3, "properties": {section: {"update": document, "$version": 2}}}
    return parse_condition(ROUTE["condition"])(Routed(body=body, properties={}, system_properties={}))


def test_the_hub_is_asked_for_primitives_only() -> None:
    """IS_DEFINED says nothing of an object (IoT Hub message routing query syntax)."""
    assert REPORT.keys() - PRIMITIVES == {"installed"}
    asked = [f"IS_DEFINED($body.properties.reported.update.{key})" for key in PRIMITIVES]
    assert ROUTE["condition"] == " OR ".join(asked)


@pytest.mark.parametrize("key", PRIMITIVES)
def test_whatever_changed_in_a_report_is_passed_on(key: str) -> None:
    """The hub may tell of what changed only."""
    assert is_routed("reported", {key: REPORT[key]})


def test_what_the_service_wrote_itself_is_not() -> None:
    assert not is_routed("desired", REPORT)
    assert not is_routed("reported", None)


def test_the_official_emulators_get_the_same_route() -> None:
    assert json.loads((INFRA / "core-tools/cloud.json").read_text())["iotHub"]["routes"] == [ROUTE]


def test_the_template_takes_the_route_from_there() -> None:
    hub = (INFRA / "modules/iothub.bicep").read_text()
    assert ROUTE["source"] == "TwinChangeEvents"
    for line in ("source: route.source", "condition: route.condition", "authenticationType: 'identityBased'"):
        assert line in hub
