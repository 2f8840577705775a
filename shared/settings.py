"""The settings: one list of them, read once, and all complaints reported at once.

A connection is either a connection string under its bare name (``Storage``), or an identity-based connection under its
prefix (``Storage__blobServiceUri`` …), the convention of Azure Functions, so that triggers and our own clients read the
same settings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from shared.configuration.listed import Place, Setting, UsedBy
from shared.configuration.reader import SettingsReader
from shared.configuration.rules import (
    address,
    connection_string,
    host_name,
    read_ticket_keys,
    storage_string,
    ticket_keys,
    vault_or_folder,
    whole,
    word_of,
)
from shared.configuration.values import (
    AuthMode,
    Connection,
    Settings,
    SettingsError,
    StorageConnection,
    TokenSettings,
    Topic,
    TwinWriterKind,
)
from shared.domain.hub_sizes import TIER_LIMITS, HubSize, HubTier
from shared.trust.index import read_root
from shared.trust.policy_file import read_trust_policy
from shared.trust.tickets import TicketKeys
from shared.trust.tokens import TokenPolicy

__all__ = [
    "SETTINGS",
    "AuthMode",
    "Connection",
    "Settings",
    "SettingsError",
    "StorageConnection",
    "TokenSettings",
    "Topic",
    "TwinWriterKind",
    "read_auth_mode",
    "read_bus_connection",
    "read_settings",
]

_UPDATES_PER_SHARD = 1_000
_LEAST_BANDWIDTH = 1_024
_LONGEST_LINK_S = 43_200
"""Half of the day for which a user delegation key is asked: a link must not outlive the key that signed it."""

_MOST_DAYS = 36_500
_HALF_AN_HOUR_S = "1800"
_BUS = connection_string("Endpoint", "SharedAccessKeyName", "SharedAccessKey")
_BUS_HOST = (("fullyQualifiedNamespace", host_name),)
_HUB = connection_string("HostName", "SharedAccessKeyName", "SharedAccessKey", base64_key="SharedAccessKey")
_STORAGE = (("blobServiceUri", address), ("tableServiceUri", address), ("queueServiceUri", address))

SETTINGS: tuple[Setting, ...] = (
    Setting(name="AzureWebJobsStorage", used_by=UsedBy.HOST),
    Setting(name="FUNCTIONS_WORKER_RUNTIME", place=Place.LOCAL, used_by=UsedBy.HOST),
    Setting(name="PYTHON_THREADPOOL_THREAD_COUNT", rule=whole(), used_by=UsedBy.HOST),
    Setting(name="APPLICATIONINSIGHTS_CONNECTION_STRING", place=Place.AZURE, used_by=UsedBy.HOST),
    Setting(name="APPLICATIONINSIGHTS_AUTHENTICATION_STRING", place=Place.AZURE, used_by=UsedBy.HOST),
    Setting(name="PYTHON_ENABLE_OPENTELEMETRY", place=Place.AZURE, used_by=UsedBy.HOST),
    Setting(name="AZURE_CLIENT_ID", default="", place=Place.AZURE),
    Setting(name="Storage", rule=storage_string, identity=_STORAGE),
    Setting(name="ServiceBus", rule=_BUS, identity=_BUS_HOST),
    Setting(name="EventHub", rule=_BUS, identity=_BUS_HOST, used_by=UsedBy.TRIGGERS),
    Setting(name="TWIN_CHANGES_HUB", used_by=UsedBy.TRIGGERS),
    Setting(name="IotHub", rule=_HUB, identity=(("hostName", host_name),)),
    Setting(name="REPORTS_TOPIC_ENDPOINT", rule=address),
    Setting(name="REPORTS_TOPIC_KEY", default="", place=Place.LOCAL),
    Setting(name="EVENTS_TOPIC_ENDPOINT", rule=address),
    Setting(name="EVENTS_TOPIC_KEY", default="", place=Place.LOCAL),
    Setting(name="HUB_TIER", default=HubTier.S1.value, rule=word_of([*HubTier])),
    Setting(name="HUB_UNITS", default="1", rule=whole()),
    Setting(name="TWIN_WRITER", default=TwinWriterKind.PATCH.value, rule=word_of([*TwinWriterKind])),
    Setting(name="KEYS_URI", rule=vault_or_folder),
    Setting(name="ROOT_FILE"),
    Setting(name="TRUST_POLICY", default="trust.toml"),
    Setting(name="TICKET_KEYS", rule=ticket_keys),
    Setting(name="LINK_LIFETIME_S", default="600", rule=whole(most=_LONGEST_LINK_S)),
    Setting(name="RECONCILE_QUIET_S", default=_HALF_AN_HOUR_S, rule=whole()),
    Setting(name="AUTH_MODE", default=AuthMode.KEYS.value, rule=word_of([*AuthMode])),
    Setting(name="ENTRA_TENANT_ID", default=""),
    Setting(name="ENTRA_AUDIENCE", default=""),
    Setting(name="ENTRA_ISSUER", default="", rule=address),
    Setting(name="ENTRA_JWKS_URI", default="", rule=address),
    Setting(
        name="RETENTION_DAYS",
        default="0",
        rule=whole(least=0, most=_MOST_DAYS, instead="a whole number of days, or 0 for ever"),
    ),
    Setting(
        name="BANDWIDTH_BYTES_PER_S",
        default="",
        rule=whole(least=_LEAST_BANDWIDTH, instead=f"a whole number of at least {_LEAST_BANDWIDTH}"),
    ),
    Setting(name="DOWNLOAD_BASE_URL", default="", rule=address),
)


def read_auth_mode(environment: Mapping[str, str]) -> AuthMode:
    """What ``AUTH_MODE`` says; keys where it says nothing or nonsense, because the host then keeps the door."""
    return AuthMode.ENTRA if environment.get("AUTH_MODE") == AuthMode.ENTRA else AuthMode.KEYS


def read_settings(environment: Mapping[str, str], *, app_folder: Path | None = None) -> Settings:
    """The settings in an environment.

    Args:
        app_folder: Where relative paths begin. With it, the files that settings name are looked into.

    Raises:
        SettingsError: One or more are missing, wrong, or contradict each other.
    """
    reader = SettingsReader(SETTINGS, environment, app_folder)
    hub = _hub_size(reader)
    settings = Settings(
        storage=reader.storage("Storage"),
        service_bus=reader.connection("ServiceBus"),
        iot_hub=reader.connection("IotHub"),
        reports_topic=reader.topic("REPORTS_TOPIC"),
        events_topic=reader.topic("EVENTS_TOPIC"),
        twin_updates_per_s=hub.twin_updates_per_s,
        hub_messages_per_day=hub.messages_per_day,
        shards=max(1, math.ceil(hub.twin_updates_per_s / _UPDATES_PER_SHARD)),
        twin_writer=TwinWriterKind(reader.text("TWIN_WRITER")),
        keys_uri=_keys_uri(reader),
        root_file=reader.file("ROOT_FILE", read_root),
        trust_policy_file=reader.file("TRUST_POLICY", read_trust_policy),
        ticket_keys=_ticket_keys(reader),
        link_lifetime=timedelta(seconds=reader.whole("LINK_LIFETIME_S")),
        reconcile_quiet=timedelta(seconds=reader.whole("RECONCILE_QUIET_S")),
        bandwidth_bytes_per_s=reader.whole("BANDWIDTH_BYTES_PER_S") or None,
        tokens=_tokens(reader),
        retention=timedelta(days=reader.whole("RETENTION_DAYS")) or None,
        download_base_url=reader.text("DOWNLOAD_BASE_URL"),
        client_id=reader.text("AZURE_CLIENT_ID"),
    )
    _check_triggers(reader)
    _check_topics(reader, settings)
    reader.raise_complaints()
    return settings


def read_bus_connection(environment: Mapping[str, str]) -> tuple[Connection, str]:
    """What sending to a queue takes, whatever is wrong with all other settings: the connection, and a client id.

    Raises:
        SettingsError: There is no such connection; then no trigger receives from a queue either.
    """
    string, host = environment.get("ServiceBus", ""), environment.get("ServiceBus__fullyQualifiedNamespace", "")
    if not string and not host:
        raise SettingsError("ServiceBus is missing")
    client_id = environment.get("ServiceBus__clientId") or environment.get("AZURE_CLIENT_ID", "")
    return Connection(connection_string=string, host=host), client_id


def _hub_size(reader: SettingsReader) -> HubSize:
    size = HubSize(tier=HubTier(reader.text("HUB_TIER")), units=reader.whole("HUB_UNITS"))
    if size.units > (most := TIER_LIMITS[size.tier].max_units):
        rivals = "HUB_TIER and HUB_UNITS contradict each other"
        reader.complain(f"{rivals}: {size.tier} has at most {most} units, not {size.units}")
    return size


def _keys_uri(reader: SettingsReader) -> str:
    uri = reader.text("KEYS_URI")
    if uri.startswith("file:"):
        reader.folder("KEYS_URI", uri.removeprefix("file:"))
    return uri


def _ticket_keys(reader: SettingsReader) -> TicketKeys:
    text = reader.text("TICKET_KEYS")
    return read_ticket_keys(text) if text else TicketKeys(current="", secrets={})


def _tokens(reader: SettingsReader) -> TokenSettings | None:
    mode, issuer, jwks_uri = reader.text("AUTH_MODE"), reader.text("ENTRA_ISSUER"), reader.text("ENTRA_JWKS_URI")
    if mode != AuthMode.ENTRA:
        return None
    why = "AUTH_MODE is entra"
    tenant, audience = reader.demanded("ENTRA_TENANT_ID", why), reader.demanded("ENTRA_AUDIENCE", why)
    authority = f"https://login.microsoftonline.com/{tenant}"
    policy = TokenPolicy(issuer=issuer or f"{authority}/v2.0", audience=audience, tenant=tenant)
    return TokenSettings(policy=policy, jwks_uri=jwks_uri or f"{authority}/discovery/v2.0/keys")


def _check_triggers(reader: SettingsReader) -> None:
    """What the service itself does not use, but is deaf without."""
    reader.connection("EventHub")
    reader.text("TWIN_CHANGES_HUB")


def _check_topics(reader: SettingsReader, settings: Settings) -> None:
    reports, events = (topic.endpoint.rstrip("/") for topic in (settings.reports_topic, settings.events_topic))
    if reports and reports == events:
        names = "REPORTS_TOPIC_ENDPOINT and EVENTS_TOPIC_ENDPOINT"
        reader.complain(f"{names} contradict each other: reports are not for everybody, give them a topic of their own")
