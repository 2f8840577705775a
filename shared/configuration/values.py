"""What is made of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.domain.errors import DomainError
from shared.trust.tickets import TicketKeys
from shared.trust.tokens import TokenPolicy


class SettingsError(DomainError):
    """Settings are missing or contradict each other; the message names every one of them."""

    code = "settings_wrong"


class TwinWriterKind(StrEnum):
    """How twins are written."""

    PATCH = "patch"
    BULK = "bulk"


class AuthMode(StrEnum):
    """How operators show who they are: by the host's function keys, or by Entra ID tokens."""

    KEYS = "keys"
    ENTRA = "entra"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Whose tokens are believed, and where the issuer's public keys are."""

    policy: TokenPolicy
    jwks_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConnection:
    """A connection string, or the three service URIs with the app's identity."""

    connection_string: str = ""
    blob_uri: str = ""
    table_uri: str = ""
    queue_uri: str = ""

    def __repr__(self) -> str:
        return f"StorageConnection(blob_uri={self.blob_uri!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection string, or a host name with the app's identity."""

    connection_string: str = ""
    host: str = ""

    def __repr__(self) -> str:
        return f"Connection(host={self.host!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """An Event Grid topic; without a key it is published to with the app's identity."""

    endpoint: str
    key: str = ""

    def __repr__(self) -> str:
        return f"Topic(endpoint={self.endpoint!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the service must be told.

    Attributes:
        twin_updates_per_s: What the hub's tier and units allow.
        hub_messages_per_day: The daily quota of that tier and those units.
        shards: Partitions for the rollout rows of new campaigns: one per 1,000 twin updates a second.
        keys_uri: Where the online keys are: ``https://<vault>.vault.azure.net``, or ``file:<folder>``.
        root_file: The root of trust the service was born with, the same as its devices.
        trust_policy_file: ``trust.toml``.
        link_lifetime: How long a download URL holds.
        reconcile_quiet: A row that did not change for this long is worth a twin read.
        bandwidth_bytes_per_s: What all devices together may fetch; None for no bound.
        tokens: None where function keys serve.
        retention: How long rows of finished campaigns stay in the table; None for ever.
        download_base_url: Replaces the storage account in download URLs; empty leaves it.
    """

    storage: StorageConnection
    service_bus: Connection
    iot_hub: Connection
    reports_topic: Topic
    events_topic: Topic
    twin_updates_per_s: float
    hub_messages_per_day: int
    shards: int
    twin_writer: TwinWriterKind
    keys_uri: str
    root_file: str
    trust_policy_file: str
    ticket_keys: TicketKeys
    link_lifetime: timedelta
    reconcile_quiet: timedelta
    retention: timedelta | None
    bandwidth_bytes_per_s: int | None
    tokens: TokenSettings | None
    download_base_url: str
    client_id: str
