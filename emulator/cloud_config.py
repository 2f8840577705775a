"""The local cloud's configuration file (`infra/local/cloud.json`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.hub import BulkTwins, HubConfig
from emulator.provisioning import ProvisioningConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfig:
    """A hub route: events of `source` for which `condition` is true go to event hub `event_hub`."""

    name: str
    source: str
    event_hub: str
    condition: str = "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionConfig:
    """An event subscription; it delivers to `function` of the app, or to any `endpoint`."""

    name: str
    topic: str
    function: str = ""
    endpoint: str = ""
    event_types: tuple[str, ...] = ()
    subject_begins_with: str = ""
    max_delivery_attempts: int = 30
    time_to_live_minutes: float = 1440.0
    dead_letter_container: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudConfig:
    """Everything the local cloud has.

    Attributes:
        service_bus: path of the queues' Config.json.
        provisioning: the provisioning service that the hub is linked to; None for none.
        system_topic: topic that carries the hub's lifecycle events, empty for none.
        retry_scale: multiplies Event Grid's retry delays; 0.1 makes the first one a second.
        blob_visibility_s: how long a blob waits after the host that held it died.
    """

    containers: tuple[str, ...]
    tables: tuple[str, ...]
    blob_trigger_containers: frozenset[str]
    service_bus: Path
    hub: HubConfig
    provisioning: ProvisioningConfig | None
    routes: tuple[RouteConfig, ...]
    system_topic: str
    event_hubs: Mapping[str, int]
    topics: tuple[str, ...]
    subscriptions: tuple[SubscriptionConfig, ...]
    retry_scale: float
    blob_visibility_s: int


def read_cloud_config(path: Path) -> CloudConfig:
    """Read the configuration; paths in it are relative to its folder.

    Raises:
        ValueError: not JSON.
        KeyError: a required field is missing.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    storage, hub, grid = content["storage"], content["iotHub"], content["eventGrid"]
    return CloudConfig(
        containers=tuple(storage.get("containers", ())),
        tables=tuple(storage.get("tables", ())),
        blob_trigger_containers=frozenset(storage.get("blobTriggerContainers", ())),
        service_bus=path.parent / content["serviceBus"],
        hub=_read_hub(hub),
        provisioning=_read_provisioning(content.get("provisioning")),
        routes=tuple(_read_route(each) for each in hub.get("routes", ())),
        system_topic=hub.get("systemTopic", ""),
        event_hubs={each["name"]: each["partitions"] for each in content.get("eventHubs", ())},
        topics=tuple(grid["topics"]),
        subscriptions=tuple(_read_subscription(each) for each in grid.get("subscriptions", ())),
        retry_scale=grid.get("retryScale", 0.1),
        blob_visibility_s=storage.get("blobTriggerVisibilitySeconds", 30),
    )


def _read_hub(fields: Mapping[str, Any]) -> HubConfig:
    return HubConfig(
        name=fields["name"],
        tier=fields.get("tier", "S1"),
        units=fields.get("units", 1),
        throttles=fields.get("throttles", "off"),
        daily_messages=fields.get("dailyMessages"),
        query_lag_s=float(fields.get("queryLagSeconds", 0)),
        bulk_twins=BulkTwins(fields.get("bulkTwins", "merge")),
        retry_after_s=fields.get("retryAfterSeconds"),
    )


def _read_provisioning(fields: Mapping[str, Any] | None) -> ProvisioningConfig | None:
    if fields is None:
        return None
    return ProvisioningConfig(
        id_scope=fields["idScope"],
        group=fields.get("enrollmentGroup", ""),
        retry_after_s=fields.get("retryAfterSeconds", 1),
        assigning_s=float(fields.get("assigningSeconds", 0)),
    )


def _read_route(fields: Mapping[str, Any]) -> RouteConfig:
    return RouteConfig(
        name=fields["name"],
        source=fields["source"],
        event_hub=fields["eventHub"],
        condition=fields.get("condition", "true"),
    )


def _read_subscription(fields: Mapping[str, Any]) -> SubscriptionConfig:
    retry = fields.get("retry", {})
    return SubscriptionConfig(
        name=fields["name"],
        topic=fields["topic"],
        function=fields.get("function", ""),
        endpoint=fields.get("endpoint", ""),
        event_types=tuple(fields.get("includedEventTypes", ())),
        subject_begins_with=fields.get("subjectBeginsWith", ""),
        max_delivery_attempts=retry.get("maxDeliveryAttempts", 30),
        time_to_live_minutes=retry.get("eventTimeToLiveMinutes", 1440),
        dead_letter_container=fields.get("deadLetterContainer"),
    )
