"""Everything that the templates make. Whoever takes something out, or adds something, says so here as well."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.bicep import INFRA, ROOT, declared, parse, properties, templates, text

INVENTORY = {
    "main.bicep": {"group": "Microsoft.Resources/resourceGroups"},
    "modules/alerts.bicep": {
        "people": "Microsoft.Insights/actionGroups",
        "queries": "Microsoft.Insights/scheduledQueryRules",
        "metrics": "Microsoft.Insights/metricAlerts",
        "workbook": "Microsoft.Insights/workbooks",
    },
    "modules/app.bicep": {
        "plan": "Microsoft.Web/serverfarms",
        "site": "Microsoft.Web/sites",
        "config": "config",
    },
    "modules/eventgrid.bicep": {
        "topics": "Microsoft.EventGrid/topics",
        "hubTopic": "Microsoft.EventGrid/systemTopics",
        "storageTopic": "Microsoft.EventGrid/systemTopics",
    },
    "modules/eventhubs.bicep": {
        "hubs": "Microsoft.EventHub/namespaces",
        "changes": "Microsoft.EventHub/namespaces/eventhubs",
        "counts": "Microsoft.Insights/diagnosticSettings",
    },
    "modules/identities.bicep": {"identity": "Microsoft.ManagedIdentity/userAssignedIdentities"},
    "modules/iothub.bicep": {"hub": "Microsoft.Devices/IotHubs"},
    "modules/keyvault.bicep": {"vault": "Microsoft.KeyVault/vaults", "key": "Microsoft.KeyVault/vaults/keys"},
    "modules/monitoring.bicep": {
        "workspace": "Microsoft.OperationalInsights/workspaces",
        "insights": "Microsoft.Insights/components",
    },
    "modules/network.bicep": {"network": "Microsoft.Network/virtualNetworks"},
    "modules/provisioning.bicep": {
        "identity": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "hubRoles": "Microsoft.Authorization/roleAssignments",
        "service": "Microsoft.Devices/provisioningServices",
    },
    "modules/servicebus.bicep": {
        "bus": "Microsoft.ServiceBus/namespaces",
        "queue": "Microsoft.ServiceBus/namespaces/queues",
    },
    "modules/storage.bicep": {
        "data": "Microsoft.Storage/storageAccounts",
        "blobs": "Microsoft.Storage/storageAccounts/blobServices",
        "containers": "Microsoft.Storage/storageAccounts/blobServices/containers",
        "immutable": "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies",
        "tableService": "Microsoft.Storage/storageAccounts/tableServices",
        "tables": "Microsoft.Storage/storageAccounts/tableServices/tables",
        "lifecycle": "Microsoft.Storage/storageAccounts/managementPolicies",
        "hosts": "Microsoft.Storage/storageAccounts",
        "hostBlobs": "Microsoft.Storage/storageAccounts/blobServices",
        "deployments": "Microsoft.Storage/storageAccounts/blobServices/containers",
    },
    "subscriptions.bicep": {
        "rolloutReports": "Microsoft.EventGrid/topics/eventSubscriptions",
        "deviceLifecycle": "Microsoft.EventGrid/systemTopics/eventSubscriptions",
        "artifacts": "Microsoft.EventGrid/systemTopics/eventSubscriptions",
    },
}
ELSEWHERE = {"modules/roles.bicep", "modules/late-roles.bicep"}
"""Held by the tests of roles."""

MODULES = {
    "identities", "fence", "storage", "servicebus", "eventhubs", "keyvault", "monitoring", "alerts", "eventgrid",
    "roles", "iothub", "lateRoles", "apps", "provisioning",
}  # fmt: skip


def made(template: Path) -> dict[str, str]:
    """Symbol to type of what the template makes, without what it only refers to."""
    resources = declared(parse(template.read_bytes()), "resource")
    return {
        name: text(node.named_children[1]).strip("'").split("@")[0]
        for name, node in resources.items()
        if not re.match(r"resource \w+ '[^']+' existing ", text(node))
    }


def body(template: str, resource: str) -> str:
    """A resource as written."""
    return text(declared(parse((INFRA / template).read_bytes()), "resource")[resource])


def variable(template: str, name: str) -> str:
    """What a variable is given."""
    return text(declared(parse((INFRA / template).read_bytes()), "variable")[name]).split("=", 1)[1].strip()


def test_every_template_is_in_the_inventory() -> None:
    found = {str(template.relative_to(INFRA)) for template in templates()}
    assert found - ELSEWHERE == set(INVENTORY)


@pytest.mark.parametrize("template", INVENTORY)
def test_a_template_makes_what_the_inventory_says(template: str) -> None:
    assert made(INFRA / template) == INVENTORY[template]


def test_every_module_is_used() -> None:
    used = declared(parse((INFRA / "main.bicep").read_bytes()), "module")
    assert set(used) >= MODULES
    files = {text(module.named_children[1]).strip("'") for module in used.values()}
    assert files == {f"modules/{path.name}" for path in (INFRA / "modules").iterdir()}


def test_what_is_made_more_than_once_is_made_for_each_that_the_code_knows() -> None:
    assert variable("modules/storage.bicep", "contents") == "loadJsonContent('../local/cloud.json').storage"
    assert "[for name in contents.containers:" in body("modules/storage.bicep", "containers")
    assert "[for name in contents.tables:" in body("modules/storage.bicep", "tables")
    queues = "loadJsonContent('../local/servicebus.json').UserConfig.Namespaces[0].Queues"
    assert variable("modules/servicebus.bicep", "queues") == queues
    assert "[for q in queues:" in body("modules/servicebus.bicep", "queue")
    assert variable("modules/eventhubs.bicep", "hub") == "loadJsonContent('../local/cloud.json').eventHubs[0]"
    assert "[for name in ['reports', 'events']:" in body("modules/eventgrid.bicep", "topics")
    topics = json.loads((INFRA / "local/cloud.json").read_text())["eventGrid"]["topics"]
    assert {"reports", "events"} < set(topics)


def test_topics_take_cloud_events_and_watch_what_they_are_named_after() -> None:
    assert "inputSchema: 'CloudEventSchemaV1_0'" in body("modules/eventgrid.bicep", "topics")
    hub, storage = (body("modules/eventgrid.bicep", name) for name in ("hubTopic", "storageTopic"))
    assert "source: hubId" in hub
    assert "topicType: 'Microsoft.Devices.IoTHubs'" in hub
    assert "source: storageId" in storage
    assert "topicType: 'Microsoft.Storage.StorageAccounts'" in storage


def test_the_hub_writes_reported_updates_to_the_event_hub_that_the_relay_reads() -> None:
    hub = body("modules/iothub.bicep", "hub")
    assert variable("modules/iothub.bicep", "route") == "loadJsonContent('../local/cloud.json').iotHub.routes[0]"
    for line in ("endpointUri: 'sb://${eventHubsHost}'", "entityPath: route.eventHub", "isEnabled: true"):
        assert line in hub
    assert "endpointNames: [route.eventHub]" in hub
    cloud = json.loads((INFRA / "local/cloud.json").read_text())
    [route], [event_hub] = cloud["iotHub"]["routes"], cloud["eventHubs"]
    assert route["eventHub"] == event_hub["name"]
    assert f"TWIN_CHANGES_HUB: '{event_hub['name']}'" in (INFRA / "modules/app.bicep").read_text()


def test_artifacts_come_by_the_blob_extensions_webhook_and_only_from_incoming() -> None:
    artifacts = body("subscriptions.bicep", "artifacts")
    assert "endpointType: 'WebHook', properties: { endpointUrl: artifactsHook }" in artifacts
    assert "includedEventTypes: ['Microsoft.Storage.BlobCreated']" in artifacts
    assert "subjectBeginsWith: '/blobServices/default/containers/incoming/'" in artifacts
    script = (ROOT / "scripts/azure/subscribe").read_text()
    assert "functionName=Host.Functions.on_artifact_uploaded&code=$key" in script
    assert "infra/subscriptions.bicep" in script
    assert "scripts/azure/subscribe" in (ROOT / "azure.yaml").read_text().split("postdeploy:")[1]


def test_undelivered_events_go_to_the_container_for_them() -> None:
    letters = variable("subscriptions.bicep", "deadLetters")
    assert "endpointType: 'StorageBlob'" in letters
    assert "blobContainerName: reports.deadLetterContainer" in letters


def test_nothing_that_is_kept_for_good_is_dropped_with_old_logs() -> None:
    prefixes = re.search(r"prefixMatch: \[([^\]]*)\]", body("modules/storage.bicep", "lifecycle"))
    assert prefixes is not None
    assert set(re.findall(r"'([\w-]+)/'", prefixes[1])) == {"logs", "quarantine", "dead-events"}
    assert "delete: { daysAfterModificationGreaterThan: 90 }" in body("modules/storage.bicep", "lifecycle")


def test_packages_stay_and_what_was_deleted_can_be_had_back() -> None:
    policy = body("modules/storage.bicep", "immutable")
    assert "immutabilityPeriodSinceCreationInDays: packageRetentionDays" in policy
    assert "allowProtectedAppendWrites: false" in policy
    # Create-or-update is for unlocked policies only: provisioning again would fail on one that somebody has locked.
    assert "@2023-05-01' = if (!isPolicyLocked) {" in policy
    assert "isPolicyLocked: packagePolicy == 'locked'" in (INFRA / "main.bicep").read_text()
    assert "deleteRetentionPolicy: { enabled: true, days: 14 }" in body("modules/storage.bicep", "blobs")
    vault = body("modules/keyvault.bicep", "vault")
    assert "enablePurgeProtection: true" in vault
    assert "softDeleteRetentionInDays: 90" in vault


def test_python_is_a_choice_of_two() -> None:
    main = parse((INFRA / "main.bicep").read_bytes())
    parameter = declared(main, "parameter")["pythonVersion"]
    assert text(parameter).endswith("string = '3.13'")
    assert "@allowed(['3.12', '3.13'])\nparam pythonVersion" in (INFRA / "main.bicep").read_text()
    assert "runtime: { name: 'python', version: pythonVersion }" in body("modules/app.bicep", "site")
    # Each line of azure-functions is for one of them; one that lacks here cannot be built there.
    pinned = re.findall(
        r"^azure-functions==\d\S+ ; python_full_version (\S+ '3\.13')", (ROOT / "requirements.txt").read_text(), re.M
    )
    assert sorted(pinned) == ["< '3.13'", ">= '3.13'"]


def test_how_data_is_copied_is_a_choice_as_some_regions_have_no_zones() -> None:
    main = (INFRA / "main.bicep").read_text()
    allowed = re.search(r"@allowed\(\[(.*)\]\)\nparam storageSku string = '(\w+)'", main)
    assert allowed is not None
    skus = re.findall(r"'(\w+)'", allowed[1])
    assert allowed[2] == "Standard_ZRS"
    # Without LRS no region that lacks zones; premium accounts have no tables.
    assert {"Standard_ZRS", "Standard_LRS"} < set(skus)
    assert all(sku.startswith("Standard_") for sku in skus)
    assert "sku: storageSku" in main
    file = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    assert file["storageSku"]["value"] == "${STORAGE_SKU=Standard_ZRS}"
    # The page tells of each of them, and where to ask which a region has.
    page = (ROOT / "docs/azure.md").read_text()
    assert [sku for sku in skus if f"`{sku}`" not in page] == []
    assert "az storage sku list" in page


def test_keys_are_elliptic_and_for_signing_only() -> None:
    key = properties(declared(parse((INFRA / "modules/keyvault.bicep").read_bytes()), "resource")["key"])["properties"]
    assert text(key) == "properties: { kty: 'EC', curveName: 'P-256', keyOps: ['sign', 'verify'] }"


def test_a_provisioning_service_is_made_only_where_it_is_asked_for() -> None:
    main = (INFRA / "main.bicep").read_text()
    assert "@allowed(['off', 'on'])\nparam dps string = 'off'" in main
    assert "module provisioning 'modules/provisioning.bicep' = if (dps == 'on') {" in main
    used = re.findall(r"^.*provisioning\.outputs\..*$", main, re.M)
    assert len(used) == 2
    assert all("= dps == 'on' ? " in line for line in used)
    assert json.loads((INFRA / "main.parameters.json").read_text())["parameters"]["dps"]["value"] == "${DPS=off}"


def test_the_provisioning_service_reaches_the_hub_by_its_identity() -> None:
    """The stable API takes that from 2026-08-01 on; before, only a connection string, which is off here."""
    service = body("modules/provisioning.bicep", "service")
    assert "'Microsoft.Devices/provisioningServices@2026-11-01'" in service
    for line in (
        "authenticationType: 'UserAssigned'",
        "selectedUserAssignedIdentityResourceId: identity.id",
        "hostName: hubHost",
        "disableLocalAuth: true",
        "dependsOn: [hubRoles]",
    ):
        assert line in service
    assert "connectionString" not in service
    assert "scope: hub\n" in body("modules/provisioning.bicep", "hubRoles")
