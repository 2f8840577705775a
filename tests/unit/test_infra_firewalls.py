"""Who may reach what over the network: open by default, and closed where Flex Consumption lets it be."""

from __future__ import annotations

import json
import re

import pytest

from shared.domain.prices import Meter
from tests.support.bicep import INFRA, ROOT, declared, parse, text
from tests.support.dry_run_world import price_table

PAGE = ROOT / "docs/private-networking.md"


def body(template: str, resource: str) -> str:
    return text(declared(parse((INFRA / f"modules/{template}.bicep").read_bytes()), "resource")[resource])


def parameters() -> dict[str, str]:
    """Name to default of the main template's parameters about the network, and what sets each."""
    file = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    return {name: file[name]["value"] for name in ("network", "operatorRanges", "deviceRanges", "hubRanges")}


def test_by_default_everything_is_open_as_apps_without_a_network_have_no_address_of_their_own() -> None:
    assert parameters() == {
        "network": "${NETWORK=open}",
        "operatorRanges": "${OPERATOR_RANGES=}",
        "deviceRanges": "${DEVICE_RANGES=}",
        "hubRanges": "${HUB_RANGES=}",
    }
    main = parse((INFRA / "main.bicep").read_bytes())
    defaults = {
        name: text(node).split("=")[1].strip()
        for name, node in declared(main, "parameter").items()
        if "=" in text(node)
    }
    assert [defaults[name] for name in parameters()] == ["'open'", "''", "''", "''"]


@pytest.mark.parametrize(
    ("template", "resource", "opens"),
    [
        ("keyvault", "vault", "empty(subnets)"),
        ("storage", "data", "empty(appSubnets) || empty(devices)"),
        ("storage", "hosts", "empty(subnetIds[app])"),
        ("iothub", "hub", "empty(allowed)"),
    ],
)
def test_a_firewall_is_closed_as_soon_as_it_knows_whom_to_let_in(template: str, resource: str, opens: str) -> None:
    assert f"defaultAction: {opens} ? 'Allow' : 'Deny'" in body(template, resource)


def test_the_fence_lets_in_the_apps_the_operators_and_trusted_services() -> None:
    for template, resource, subnets in (("keyvault", "vault", "subnets"), ("storage", "data", "appSubnets")):
        rules = body(template, resource)
        assert "bypass: 'AzureServices'" in rules
        assert f"for subnet in {subnets}: {{ id: subnet" in rules
        assert "for cidr in " in rules
        assert "operators" in rules
    assert "union(operators, devices)" in body("storage", "data")


def test_each_host_account_is_for_its_own_app_alone() -> None:
    hosts = body("storage", "hosts")
    assert "virtualNetworkRules: map(subnetIds[app], " in hosts
    assert "ipRules" not in hosts


def test_the_fence_has_a_subnet_for_each_app_with_the_endpoints_that_the_firewalls_ask_for() -> None:
    source = (INFRA / "modules/network.bicep").read_text()
    assert "var apps = ['field', 'control']" in source
    assert "serviceName: 'Microsoft.App/environments'" in source
    assert set(re.findall(r"'(Microsoft\.\w+)'", source)) == {"Microsoft.Storage", "Microsoft.KeyVault"}
    assert "virtualNetworkSubnetId: empty(subnetIds) ? null : subnetIds[0]" in body("app", "site")
    main = (INFRA / "main.bicep").read_text()
    assert "isFenced: network == 'fenced'" in main
    assert "subnetIds: fence.outputs.subnetIds[app]" in main
    assert main.count("subnetIds: fence.outputs.subnetIds\n") == 2


def test_apps_answer_only_whom_they_should_and_field_event_grid_always() -> None:
    site = body("app", "site")
    assert "ipSecurityRestrictionsDefaultAction: empty(people) ? 'Allow' : 'Deny'" in site
    assert "app == 'field' && !empty(people) ? union(events, people) : people" in site
    assert "callers: app == 'field' ? devices : operators" in (INFRA / "main.bicep").read_text()
    source = (INFRA / "modules/app.bicep").read_text()
    assert "tag: 'ServiceTag', ipAddress: 'AzureEventGrid', action: 'Allow'" in source


def test_the_page_names_every_parameter_and_what_stays_open() -> None:
    page = PAGE.read_text()
    for setting in ("NETWORK", "OPERATOR_RANGES", "DEVICE_RANGES", "HUB_RANGES"):
        assert f"`{setting}`" in page
    for service in ("Service Bus", "Event Hubs", "Event Grid", "IoT Hub"):
        assert re.search(rf"^\| {service}", page, re.M), service
    for template in ("servicebus", "eventhubs", "eventgrid"):
        assert "defaultAction" not in (INFRA / f"modules/{template}.bicep").read_text()


def test_the_page_has_the_prices_of_the_price_file() -> None:
    prices = price_table().prices
    standard, premium = (prices[Meter(f"service_bus_{tier}_months")] for tier in ("standard", "premium_unit"))
    assert f"{premium.amount:.0f} USD a month and messaging unit instead of {standard.amount}" in PAGE.read_text()
