"""What each resource must be set to. One line taken out of a template is one failure here."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.support.bicep import INFRA, ROOT, declared, parse, text

ACCOUNT = (
    "allowSharedKeyAccess: false",
    "allowBlobPublicAccess: false",
    "minimumTlsVersion: 'TLS1_2'",
    "supportsHttpsTrafficOnly: true",
)
LINES = {
    ("storage", "data"): (*ACCOUNT, "sku: { name: sku }", "defaultToOAuthAuthentication: true"),
    ("storage", "hosts"): (*ACCOUNT, "sku: { name: 'Standard_LRS' }"),
    ("storage", "containers"): ("publicAccess: 'None'",),
    # Sessions and duplicate detection are not to be had below Standard; Basic event hubs know no own consumer groups.
    ("servicebus", "bus"): ("sku: { name: 'Standard', tier: 'Standard' }", "disableLocalAuth: true"),
    ("eventhubs", "hubs"): ("name: 'Standard', tier: 'Standard'", "disableLocalAuth: true", "minimumTlsVersion: '1.2'"),
    ("eventhubs", "changes"): ("name: hub.name", "partitionCount: hub.partitions", "messageRetentionInDays: 7"),
    ("iothub", "hub"): (
        "disableLocalAuth: true",
        "minTlsVersion: refusesOldTls ? '1.2' : null",
        "sku: { name: tier, capacity: units }",
    ),
    ("keyvault", "vault"): ("enableRbacAuthorization: true", "tenantId: tenant().tenantId"),
    ("app", "plan"): ("sku: { name: 'FC1', tier: 'FlexConsumption' }", "reserved: true"),
    ("app", "site"): (
        "httpsOnly: true",
        "minTlsVersion: '1.2'",
        "keyVaultReferenceIdentity: identityId",
        "'azd-service-name': app",
        "authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }",
        "identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }",
    ),
    ("app", "config"): ("name: 'appsettings'", "properties: union(settings, switchedOff)"),
}


@pytest.mark.parametrize(("resource", "lines"), LINES.items(), ids=lambda value: "-".join(value)[:30])
def test_a_resource_is_set_as_it_must_be(resource: tuple[str, str], lines: tuple[str, ...]) -> None:
    template, name = resource
    body = text(declared(parse((INFRA / f"modules/{template}.bicep").read_bytes()), "resource")[name])
    assert [line for line in lines if line not in body] == []


def test_each_app_has_the_functions_of_the_other_switched_off() -> None:
    source = (INFRA / "modules/app.bicep").read_text()
    assert "var elsewhere = app == 'field' ? functions.control : functions.field" in source
    assert "toObject(elsewhere, name => 'AzureWebJobs.${name}.Disabled', name => 'true')" in source
    assert "for app in ['field', 'control']" in (INFRA / "main.bicep").read_text()


def test_there_is_an_identity_for_each_that_has_a_role() -> None:
    names = text(declared(parse((INFRA / "modules/identities.bicep").read_bytes()), "variable")["names"])
    assert names == "var names = ['field', 'control', 'hub']"
    rows = json.loads((INFRA / "roles.json").read_text())["assignments"]
    of_dps = declared(parse((INFRA / "modules/provisioning.bicep").read_bytes()), "resource")["identity"]
    assert "Microsoft.ManagedIdentity/userAssignedIdentities" in text(of_dps)
    assert {row["who"] for row in rows} == {"field", "control", "hub", "topics", "deployer", "dps"}


@pytest.mark.parametrize(
    ("module", "waits_for"),
    [
        ("iothub", "[roles]"),
        ("lateRoles", "[roles]"),
        ("apps", "[roles, lateRoles]"),
        ("provisioning", "[roles]"),
    ],
)
def test_what_checks_its_roles_when_it_is_made_comes_after_them(module: str, waits_for: str) -> None:
    body = text(declared(parse((INFRA / "main.bicep").read_bytes()), "module")[module])
    assert f"dependsOn: {waits_for}" in body


def test_every_subscription_is_tried_for_a_day() -> None:
    subscriptions = json.loads((INFRA / "local/cloud.json").read_text())["eventGrid"]["subscriptions"]
    tries = {"maxDeliveryAttempts": 30, "eventTimeToLiveMinutes": 1440}
    assert [one["retry"] for one in subscriptions] == [tries, tries]
    assert "maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440" in (INFRA / "subscriptions.bicep").read_text()


def test_hooks_are_run_at_their_time() -> None:
    before, after = (ROOT / "azure.yaml").read_text().split("postprovision:")[1].split("postdeploy:")
    assert before.split("run: ")[1].strip() == "scripts/azure/ticket-keys"
    assert after.split("run: ")[1].strip() == "scripts/azure/subscribe"


def test_an_azd_that_would_deploy_private_keys_is_refused() -> None:
    """It heeds .funcignore from 1.18 on; what that leaves out by itself is then deployed, too."""
    assert 'requiredVersions:\n  azd: ">= 1.18.0"' in (ROOT / "azure.yaml").read_text()
    assert {"*.pem", "ceremony", ".azure", ".venv", "__pycache__"} <= set((ROOT / ".funcignore").read_text().split())


def test_hooks_can_be_started() -> None:
    """But on Windows, azd starts the file itself."""
    assert [path.name for path in (ROOT / "scripts/azure").iterdir() if not os.access(path, os.X_OK)] == []


def test_roles_are_given_to_principals_of_a_known_kind() -> None:
    """Azure looks up the kind where none is said, and may not find an identity that was made a moment ago."""
    for name in ("roles", "late-roles"):
        source = (INFRA / f"modules/{name}.bicep").read_text()
        told = re.findall(r"principalId: (?:principals|topicPrincipals)\[[\w.]+\]\n    principalType: ", source)
        assert len(told) == source.count("roleAssignments@")
    source = (INFRA / "modules/provisioning.bicep").read_text()
    assert "principalId: identity.properties.principalId\n    principalType: 'ServicePrincipal'" in source


def test_dead_letters_go_by_the_topics_own_identity() -> None:
    """A user-assigned one does not pass a firewall (Event Grid, deliver events by managed identity)."""
    assert "var identity = { type: 'SystemAssigned' }" in (INFRA / "modules/eventgrid.bicep").read_text()
    assert "identity: { type: 'SystemAssigned' }" in (INFRA / "subscriptions.bicep").read_text()
    [row] = [one for one in json.loads((INFRA / "roles.json").read_text())["assignments"] if one["who"] == "topics"]
    assert (row["kind"], row["name"]) == ("container", "dead-events")
    roles = declared(parse((INFRA / "modules/late-roles.bicep").read_bytes()), "resource")
    assert "for topic in ['reports', 'lifecycle', 'artifacts']" in text(roles["deadLetterRoles"])
