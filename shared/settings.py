"""The settings, read once and all complaints reported at once.

Names are those of ``local.settings.sample.json``. A connection is either a connection string under its bare name
(``Storage``), or an identity-based connection under its prefix (``Storage__blobServiceUri`` …), the convention of Azure
Functions, so that triggers and our own clients read the same settings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.domain.errors import DomainError
from shared.domain.hub_sizes import HubSize, HubTier
from shared.trust.tickets import TicketKeys
from shared.trust.tokens import TokenPolicy

_UPDATES_PER_SHARD = 1_000
_LEAST_BANDWIDTH = 1_024


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


def read_auth_mode(environment: Mapping[str, str]) -> AuthMode:
    """What ``AUTH_MODE`` says; keys where it says nothing or nonsense, because the host then keeps the door."""
    return AuthMode.ENTRA if environment.get("AUTH_MODE") == AuthMode.ENTRA else AuthMode.KEYS


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
        trust_policy_file: ``trust.toml``; empty for the one beside ``function_app.py``.
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


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in an environment.

    Raises:
        SettingsError: One or more are missing or wrong.
    """
    reader = _Reader(environment)
    rate = reader.hub_rate()
    settings = Settings(
        storage=reader.storage(),
        service_bus=reader.connection("ServiceBus", "fullyQualifiedNamespace"),
        iot_hub=reader.connection("IotHub", "hostName"),
        reports_topic=reader.topic("REPORTS_TOPIC"),
        events_topic=reader.topic("EVENTS_TOPIC"),
        twin_updates_per_s=rate,
        hub_messages_per_day=reader.hub_messages_per_day(),
        shards=max(1, math.ceil(rate / _UPDATES_PER_SHARD)),
        twin_writer=reader.twin_writer(),
        keys_uri=reader.keys_uri(),
        root_file=reader.text("ROOT_FILE"),
        trust_policy_file=environment.get("TRUST_POLICY", ""),
        ticket_keys=reader.ticket_keys(),
        link_lifetime=timedelta(seconds=reader.whole("LINK_LIFETIME_S", 600)),
        reconcile_quiet=timedelta(seconds=reader.whole("RECONCILE_QUIET_S", 1800)),
        bandwidth_bytes_per_s=reader.bandwidth(),
        tokens=reader.tokens(),
        retention=reader.retention(),
        download_base_url=environment.get("DOWNLOAD_BASE_URL", ""),
        client_id=environment.get("AZURE_CLIENT_ID", ""),
    )
    reader.raise_complaints()
    return settings


class _Reader:
    """Reads one setting after the other and remembers what is wrong with each."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._complaints: list[str] = []

    def raise_complaints(self) -> None:
        if self._complaints:
            raise SettingsError("; ".join(self._complaints))

    def text(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            self._complaints.append(f"{name} is missing")
        return value

    def whole(self, name: str, default: int) -> int:
        if not (text := self._environment.get(name, "")):
            return default
        if not text.isdecimal() or int(text) == 0:
            self._complaints.append(f"{name} must be a whole number above 0, not {text!r}")
            return default
        return int(text)

    def bandwidth(self) -> int | None:
        found = self.whole("BANDWIDTH_BYTES_PER_S", 0)
        if 0 < found < _LEAST_BANDWIDTH:
            self._complaints.append(f"BANDWIDTH_BYTES_PER_S must be at least {_LEAST_BANDWIDTH}, not {found}")
        return found or None

    def retention(self) -> timedelta | None:
        text = self._environment.get("RETENTION_DAYS") or "0"
        if not text.isdecimal():
            self._complaints.append(f"RETENTION_DAYS must be a whole number of days, or 0 for ever, not {text!r}")
            return None
        return timedelta(days=int(text)) or None

    def storage(self) -> StorageConnection:
        if string := self._environment.get("Storage"):
            return StorageConnection(connection_string=string)
        uris = {kind: self._environment.get(f"Storage__{kind}ServiceUri", "") for kind in ("blob", "table", "queue")}
        missing = [f"Storage__{kind}ServiceUri" for kind, uri in uris.items() if not uri]
        if missing:
            self._complaints.append(f"Storage (a connection string) or {', '.join(missing)} is missing")
        return StorageConnection(blob_uri=uris["blob"], table_uri=uris["table"], queue_uri=uris["queue"])

    def connection(self, name: str, host_key: str) -> Connection:
        string, host = self._environment.get(name, ""), self._environment.get(f"{name}__{host_key}", "")
        if not string and not host:
            self._complaints.append(f"{name} (a connection string) or {name}__{host_key} is missing")
        return Connection(connection_string=string, host=host)

    def topic(self, name: str) -> Topic:
        return Topic(endpoint=self.text(f"{name}_ENDPOINT"), key=self._environment.get(f"{name}_KEY", ""))

    def hub_rate(self) -> float:
        tier, units = self._environment.get("HUB_TIER", "S1"), self.whole("HUB_UNITS", 1)
        if tier not in list(HubTier):
            self._complaints.append(f"HUB_TIER must be one of {', '.join(HubTier)}, not {tier!r}")
            return 50.0
        return HubSize(tier=HubTier(tier), units=units).twin_updates_per_s

    def hub_messages_per_day(self) -> int:
        # What is wrong with either setting was complained about when the rate was read.
        tier, units = self._environment.get("HUB_TIER", "S1"), self._environment.get("HUB_UNITS") or "1"
        if tier not in list(HubTier):
            return 0
        return HubSize(tier=HubTier(tier), units=int(units) if units.isdecimal() else 1).messages_per_day

    def twin_writer(self) -> TwinWriterKind:
        text = self._environment.get("TWIN_WRITER", TwinWriterKind.PATCH)
        if text not in list(TwinWriterKind):
            self._complaints.append(f"TWIN_WRITER must be patch or bulk, not {text!r}")
            return TwinWriterKind.PATCH
        return TwinWriterKind(text)

    def keys_uri(self) -> str:
        uri = self.text("KEYS_URI")
        if uri and not uri.startswith(("https://", "file:")):
            self._complaints.append(f"KEYS_URI must begin with https:// (a Key Vault) or file: (a folder), not {uri!r}")
        return uri

    def tokens(self) -> TokenSettings | None:
        mode = self._environment.get("AUTH_MODE") or AuthMode.KEYS
        if mode not in list(AuthMode):
            self._complaints.append(f"AUTH_MODE must be keys or entra, not {mode!r}")
        if mode != AuthMode.ENTRA:
            return None
        tenant, audience = self.text("ENTRA_TENANT_ID"), self.text("ENTRA_AUDIENCE")
        authority = f"https://login.microsoftonline.com/{tenant}"
        jwks_uri = self._environment.get("ENTRA_JWKS_URI") or f"{authority}/discovery/v2.0/keys"
        if not jwks_uri.startswith(("https://", "http://127.0.0.1:")):
            self._complaints.append(f"ENTRA_JWKS_URI must begin with https://, not {jwks_uri!r}")
        issuer = self._environment.get("ENTRA_ISSUER") or f"{authority}/v2.0"
        return TokenSettings(policy=TokenPolicy(issuer=issuer, audience=audience, tenant=tenant), jwks_uri=jwks_uri)

    def ticket_keys(self) -> TicketKeys:
        text = self.text("TICKET_KEYS")
        try:
            document = json.loads(text or '{"current": "", "keys": {"": ""}}')
            keys = {str(key_id): bytes.fromhex(secret) for key_id, secret in document["keys"].items()}
            current = str(document["current"])
        except (ValueError, KeyError, TypeError, AttributeError):
            self._complaints.append('TICKET_KEYS must be JSON: {"current": "<id>", "keys": {"<id>": "<hex>"}}')
            return TicketKeys(current="", secrets={})
        if text and (current not in keys or any(len(secret) < 32 for secret in keys.values())):
            self._complaints.append("TICKET_KEYS must hold its current key, and every key at least 32 bytes")
        return TicketKeys(current=current, secrets=keys)
