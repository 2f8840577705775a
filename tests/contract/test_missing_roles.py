"""Refused by Azure: every adapter says which role is missing on which resource, whatever SDK it was told by."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.data.tables import TableServiceClient
from azure.eventgrid import EventGridPublisherClient
from azure.iot.hub import IoTHubRegistryManager
from azure.servicebus import ServiceBusClient
from azure.servicebus._base_handler import _generate_sas_token
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from emulator.bus import QueueConfig
from shared.adapters.azure_access import Resource, explain_refusal
from shared.adapters.azure_archive import AzureArchive
from shared.adapters.azure_artifacts import AzureArtifacts
from shared.adapters.azure_bus import AzureBus
from shared.adapters.azure_campaigns import AzureCampaigns
from shared.adapters.azure_directory import AzureDirectory
from shared.adapters.azure_events import AzureEvents
from shared.adapters.azure_groups import AzureGroups
from shared.adapters.azure_index import AzureIndex
from shared.adapters.azure_links import DelegatedLinks
from shared.adapters.azure_parking import AzureParking
from shared.adapters.azure_poison import AzureCrashReports
from shared.adapters.azure_rollouts import AzureRollouts
from shared.adapters.azure_twin_reader import AzureTwinReader
from shared.adapters.azure_twins_bulk import AzureTwinBulk
from shared.adapters.azure_twins_patch import AzureTwinPatches
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.rollouts import RolloutState
from shared.ports.bus import OutgoingEvent, OutgoingMessage, Queue
from shared.ports.errors import AccessRefused, PortError
from shared.ports.hub import TwinOutcome, TwinWrite
from tests.support.azurite import AppIdentity
from tests.support.bus import KEY_NAME, running_bus
from tests.support.refusing_azure import RefusingAzure, refusing_azure
from tests.support.rollouts import make_rollout

NEEDED = json.loads((Path(__file__).parents[2] / "shared/adapters/needed_roles.json").read_text())
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CAMPAIGN = CampaignId("spring")
CONTRIBUTOR = "its identity needs the role Storage Blob Data Contributor on the container"
TWINS = "Groundswell Twin Writer (app control), Groundswell Twin Reader (app field)"


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RefusingAzure]:
    with refusing_azure(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture
def identity(azure: RefusingAzure) -> AppIdentity:
    return AppIdentity(azure.folder)


@pytest.fixture
def blobs(azure: RefusingAzure, identity: AppIdentity) -> Iterator[BlobServiceClient]:
    url = f"https://{azure.host}/account"
    with BlobServiceClient(url, identity, connection_verify=str(azure.ca), retry_total=0) as service:
        yield service


@pytest.fixture
def tables(azure: RefusingAzure, identity: AppIdentity) -> Iterator[TableServiceClient]:
    url, ca = f"https://{azure.host}/account", str(azure.ca)
    with TableServiceClient(url, credential=identity, connection_verify=ca, retry_total=0) as service:
        yield service


BLOB_CALLS: dict[str, tuple[Callable[[BlobServiceClient], Any], str]] = {
    "parked": (
        lambda service: AzureParking(service.get_container_client("parked")).park(
            source="x", body=b"", code="c", reason="r"
        ),
        f"{CONTRIBUTOR} parked",
    ),
    "archive": (
        lambda service: AzureArchive(service.get_container_client("archive")).create("a b/c", b""),
        f"{CONTRIBUTOR} archive",
    ),
    "incoming": (
        lambda service: list(AzureArtifacts(service).list_incoming()),
        "its identity needs the role Storage Blob Data Owner on the container incoming",
    ),
    "metadata": (
        lambda service: AzureIndex(service).read("timestamp.json"),
        "a role on the container metadata: Storage Blob Data Contributor (app control), "
        "Storage Blob Data Reader (app field)",
    ),
    "links": (
        lambda service: DelegatedLinks(service).link("a", now=NOW, lifetime=timedelta(minutes=1)),
        "its identity needs the role Storage Blob Delegator on the storage account",
    ),
}


@pytest.mark.parametrize("name", BLOB_CALLS)
def test_blobs_name_container_and_role(azure: RefusingAzure, blobs: BlobServiceClient, name: str) -> None:
    azure.as_storage(403, "AuthorizationPermissionMismatch")
    call, wanted = BLOB_CALLS[name]
    with pytest.raises(AccessRefused) as refused:
        call(blobs)
    assert wanted in refused.value.message
    assert "Blob storage refuses this app (403 AuthorizationPermissionMismatch)" in refused.value.message
    assert azure.host not in refused.value.message


def test_poison_queue_needs_its_role_on_the_account(azure: RefusingAzure, identity: AppIdentity) -> None:
    azure.as_storage(403, "AuthorizationPermissionMismatch")
    url = f"https://{azure.host}/account"
    queue = QueueClient(url, "webjobs-blobtrigger-poison", identity, connection_verify=str(azure.ca), retry_total=0)
    with queue, pytest.raises(AccessRefused, match="role Storage Queue Data Contributor on the storage account"):
        list(AzureCrashReports(queue).receive())


TABLE_CALLS: dict[str, Callable[[TableServiceClient], Any]] = {
    "campaigns": lambda service: AzureCampaigns(service.get_table_client("campaigns")).list_page(size=1),
    "groups": lambda service: AzureGroups(service.get_table_client("groups")).list_page(size=1),
    # A transaction names its table only within its parts.
    "rollout": lambda service: AzureRollouts(service.get_table_client("rollout")).create_batch(
        CAMPAIGN, 0, [make_rollout(state=RolloutState.PLANNED)]
    ),
}


@pytest.mark.parametrize("name", TABLE_CALLS)
def test_tables_name_table_and_role(azure: RefusingAzure, tables: TableServiceClient, name: str) -> None:
    azure.as_tables(403, "AuthorizationPermissionMismatch")
    with pytest.raises(AccessRefused, match=f"Mismatch.*the role Storage Table Data Contributor on the table {name};"):
        TABLE_CALLS[name](tables)


def test_who_is_not_known_is_told_so(azure: RefusingAzure, blobs: BlobServiceClient) -> None:
    azure.as_storage(401, "InvalidAuthenticationInfo")
    with pytest.raises(AccessRefused, match="does not know who asks: is AZURE_CLIENT_ID that of the app's identity"):
        AzureParking(blobs.get_container_client("parked")).park(source="x", body=b"", code="c", reason="r")


def test_other_refusals_stay_what_they_are(azure: RefusingAzure, blobs: BlobServiceClient) -> None:
    azure.as_storage(409, "BlobImmutableDueToPolicy")
    with pytest.raises(PortError) as refused:
        AzureParking(blobs.get_container_client("parked")).park(source="x", body=b"", code="c", reason="r")
    assert not isinstance(refused.value, AccessRefused)


@pytest.mark.parametrize("topic", ["reports", "events"])
@pytest.mark.parametrize("status", [401, 403])
def test_topics_name_topic_and_role(
    azure: RefusingAzure, identity: AppIdentity, topic: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azure.ca))
    azure.as_event_grid(status)
    client = EventGridPublisherClient(f"https://{azure.host}/api/events", identity, retry_total=0)
    event = OutgoingEvent(type="t", subject="s", data=b"{}", id="1")
    with client, pytest.raises(AccessRefused, match=f"the role EventGrid Data Sender on the topic {topic}"):
        AzureEvents(client, source="x", topic=topic).publish([event])


@pytest.fixture
def hub(
    azure: RefusingAzure, identity: AppIdentity, monkeypatch: pytest.MonkeyPatch
) -> Iterator[IoTHubRegistryManager]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(azure.ca))
    yield IoTHubRegistryManager.from_token_credential(azure.host, identity)


@pytest.mark.parametrize(("status", "code"), [(401, "IotHubUnauthorizedAccess"), (403, "IotHubForbidden")])
def test_hub_names_the_roles(azure: RefusingAzure, hub: IoTHubRegistryManager, status: int, code: str) -> None:
    azure.as_hub(status, code)
    with pytest.raises(AccessRefused) as refused:
        AzureTwinReader(hub).read_reported(DeviceId("gw-1"))
    assert TWINS in refused.value.message
    with pytest.raises(AccessRefused) as refused:
        AzureDirectory(hub).list_page("SELECT * FROM devices")
    assert TWINS in refused.value.message


@pytest.mark.parametrize("kind", [AzureTwinPatches, AzureTwinBulk])
def test_twin_writes_name_the_roles_and_blame_no_device(
    azure: RefusingAzure, hub: IoTHubRegistryManager, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    azure.as_hub(401, "IotHubUnauthorizedAccess")
    [result] = kind(hub).write([TwinWrite(device=DeviceId("gw-1"), desired={})])
    assert result.outcome is TwinOutcome.UNAVAILABLE
    assert TWINS in result.detail
    assert TWINS in caplog.text


def test_queues_name_queue_and_role() -> None:
    """The token opens one queue, as a role on one queue does; the bus refuses the other over AMQP."""
    queues = [QueueConfig(name=queue.value) for queue in (Queue.CAMPAIGN_STEPS, Queue.DEVICE_BATCHES)]
    with running_bus(*queues) as bus:
        key = bus.server.connection_string.partition("SharedAccessKey=")[2].partition(";")[0]
        where = f"127.0.0.1:{bus.server.port}"
        token = _generate_sas_token(f"sb://{where}/{Queue.CAMPAIGN_STEPS}", KEY_NAME, key).token
        sender = AzureBus(ServiceBusClient(where, AzureSasCredential(token), retry_total=0, use_tls=False))
        message = [OutgoingMessage(body=b"{}", message_id="1")]
        sender.send(Queue.CAMPAIGN_STEPS, message)
        with pytest.raises(AccessRefused) as refused:
            sender.send(Queue.DEVICE_BATCHES, message)
        assert "Service Bus refuses this app (403)" in refused.value.message
        assert "role Azure Service Bus Data Sender on the queue device-batches" in refused.value.message
        # The sender that was refused is gone, the other one serves on.
        sender.send(Queue.CAMPAIGN_STEPS, message)
        assert bus.counts(Queue.CAMPAIGN_STEPS).active == 2
        sender.close()


def test_queues_say_that_they_do_not_know_who_asks() -> None:
    with running_bus(QueueConfig(name=Queue.CAMPAIGN_STEPS.value)) as bus:
        where = f"127.0.0.1:{bus.server.port}"
        token = _generate_sas_token(f"sb://{where}/{Queue.CAMPAIGN_STEPS}", KEY_NAME, "another key").token
        sender = AzureBus(ServiceBusClient(where, AzureSasCredential(token), retry_total=0, use_tls=False))
        with pytest.raises(AccessRefused, match=r"does not know who asks.*queue campaign-steps"):
            sender.send(Queue.CAMPAIGN_STEPS, [OutgoingMessage(body=b"{}", message_id="1")])
        sender.close()


class NoIdentity:
    """A credential where the app has no identity."""

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        raise ClientAuthenticationError("ManagedIdentityCredential authentication unavailable")


def test_an_app_without_identity_is_told_so(azure: RefusingAzure) -> None:
    before, ca = len(azure.asked), str(azure.ca)
    event = OutgoingEvent(type="t", subject="s", data=b"{}", id="1")
    with (
        BlobServiceClient(f"https://{azure.host}/a", NoIdentity(), connection_verify=ca, retry_total=0) as blobs,
        TableServiceClient(
            f"https://{azure.host}/a", credential=NoIdentity(), connection_verify=ca, retry_total=0
        ) as tables,
        EventGridPublisherClient(f"https://{azure.host}/", NoIdentity()) as grid,
    ):
        for call in (
            lambda: AzureIndex(blobs).read("timestamp.json"),
            lambda: AzureCampaigns(tables.get_table_client("campaigns")).list_page(size=1),
            lambda: AzureEvents(grid, source="x", topic="events").publish([event]),
        ):
            with pytest.raises(AccessRefused, match="there is no token for the app's identity: is it assigned"):
                call()
    assert len(azure.asked) == before


@pytest.mark.parametrize("where", NEEDED)
def test_every_role_that_an_adapter_needs_can_be_named(where: str) -> None:
    kind, _, name = where.partition(" ")
    for app, roles in NEEDED[where].items():
        for role in roles:
            about = role.split()[1] if kind == "account" else ""
            message = explain_refusal("It", Resource(kind=kind, name=name, about=about), status=403).message
            assert role in message
            assert len(NEEDED[where]) == 1 or len({str(each) for each in NEEDED[where].values()}) == 1 or app in message


def test_a_resource_that_nobody_has_a_role_on_is_said_to_be_so() -> None:
    message = explain_refusal("Blob storage", Resource(kind="container", name="secrets"), status=403).message
    assert "no role on the container secrets is given to any app, see infra/roles.json" in message
