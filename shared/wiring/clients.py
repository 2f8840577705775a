"""The vendors' clients, made from the settings: with connection strings where given, else with the app's identity."""

from __future__ import annotations

from azure.core.credentials import AzureKeyCredential, TokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TableServiceClient
from azure.eventgrid import EventGridPublisherClient
from azure.identity import DefaultAzureCredential
from azure.iot.hub import IoTHubRegistryManager
from azure.servicebus import ServiceBusClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient
from requests import Session
from requests.adapters import HTTPAdapter

from shared.adapters.azure_access import explain_no_token
from shared.settings import Connection, Settings, Topic
from shared.wiring.once import once

CONNECTIONS = 64
"""Kept open per client: requests' own 10 are fewer than the worker's threads, and the others would be made anew."""


def _transport() -> RequestsTransport:
    session = Session()
    # The SDKs try again by themselves: a second layer below them would multiply their waits.
    session.mount("https://", HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=0))
    session.mount("http://", HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=0))
    return RequestsTransport(session=session)


def open_identity(client_id: str) -> TokenCredential:
    """An identity of the app; without a client id, the only one it has."""
    return DefaultAzureCredential(managed_identity_client_id=client_id or None)


def open_bus(bus: Connection, client_id: str) -> ServiceBusClient:
    """A Service Bus namespace."""
    if bus.connection_string:
        return ServiceBusClient.from_connection_string(bus.connection_string)
    return ServiceBusClient(bus.host, open_identity(client_id))


class Clients:
    """Each client is made when it is first asked for, once, and shared by all threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @once
    def credential(self) -> TokenCredential:
        """The app's identity."""
        return open_identity(self._settings.client_id)

    @once
    def blobs(self) -> BlobServiceClient:
        """The storage account's blobs."""
        storage = self._settings.storage
        if storage.connection_string:
            return BlobServiceClient.from_connection_string(storage.connection_string, transport=_transport())
        return BlobServiceClient(storage.blob_uri, self.credential, transport=_transport())

    @once
    def queues(self) -> QueueServiceClient:
        """The storage account's queues, where the host leaves artifacts it gave up on."""
        storage = self._settings.storage
        if storage.connection_string:
            return QueueServiceClient.from_connection_string(storage.connection_string, transport=_transport())
        return QueueServiceClient(storage.queue_uri, credential=self.credential, transport=_transport())

    @once
    def tables(self) -> TableServiceClient:
        """The storage account's tables."""
        storage = self._settings.storage
        if storage.connection_string:
            return TableServiceClient.from_connection_string(storage.connection_string, transport=_transport())
        return TableServiceClient(endpoint=storage.table_uri, credential=self.credential, transport=_transport())

    @once
    def bus(self) -> ServiceBusClient:
        """The Service Bus namespace."""
        return open_bus(self._settings.service_bus, self._settings.client_id)

    @once
    def hub(self) -> IoTHubRegistryManager:
        """The IoT Hub's registry."""
        hub = self._settings.iot_hub
        if hub.connection_string:
            return IoTHubRegistryManager.from_connection_string(hub.connection_string)
        try:
            return IoTHubRegistryManager.from_token_credential(hub.host, self.credential)
        except AzureError as error:
            # It asks for a token as soon as it is made.
            raise explain_no_token("IoT Hub", error) from error

    @property
    def hub_name(self) -> str:
        """The IoT Hub's host name, by which its budget is kept."""
        hub = self._settings.iot_hub
        fields = dict(part.partition("=")[::2] for part in hub.connection_string.split(";"))
        return hub.host or fields.get("HostName", "")

    def table(self, name: str) -> TableClient:
        """One table."""
        return self.tables.get_table_client(name)

    def topic(self, topic: Topic) -> EventGridPublisherClient:
        """The publishing side of an Event Grid topic."""
        credential = AzureKeyCredential(topic.key) if topic.key else self.credential
        return EventGridPublisherClient(topic.endpoint, credential, transport=_transport())
