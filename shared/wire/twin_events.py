"""What IoT Hub says about twins and devices, as events: twin changes from the event hub, lifecycle from Event Grid.

Shapes: IoT Hub non-telemetry event schemas (``twinChangeEvents``), and Event Grid's schema for IoT Hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.domain.errors import InvalidId, MalformedMessage
from shared.domain.ids import DeviceId, device_id
from shared.wire.twins import PROPERTY


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTwinEvent:
    """An event as the event hub hands it over.

    Attributes:
        properties: Application properties; ``deviceId`` names the device.
        enqueued_at: When the event hub took it; None where nobody says.
        system_properties: Where a routing endpoint drops application properties, ``iothub-connection-device-id`` does.
    """

    body: bytes
    properties: Mapping[str, Any]
    system_properties: Mapping[str, Any]
    enqueued_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinEvent:
    """A twin that changed.

    Attributes:
        module: The module whose twin it is; empty for the device's own.
        reported: The reported section as far as the event carries it; empty when it changed elsewhere.
    """

    device: DeviceId
    module: str
    reported: Mapping[str, Any]

    @property
    def tells_update(self) -> bool:
        """Whether the device wrote its reported ``update``; taking it away says nothing."""
        return not self.module and self.reported.get(PROPERTY) is not None


class LifecycleKind(StrEnum):
    """What happened to a device in the registry; the values are Event Grid's event types."""

    CREATED = "Microsoft.Devices.DeviceCreated"
    DELETED = "Microsoft.Devices.DeviceDeleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleEvent:
    """A device was made or deleted."""

    kind: LifecycleKind
    device: DeviceId


def read_twin_event(raw: RawTwinEvent) -> TwinEvent:
    """The event, read.

    Raises:
        MalformedMessage: It names no device, or its body is no JSON object.
    """
    try:
        body = json.loads(raw.body)
        device = raw.properties.get("deviceId") or raw.system_properties.get("iothub-connection-device-id")
        properties = body.get("properties") or {}
        return TwinEvent(
            device=device_id(str(device or "")),
            module=str(raw.properties.get("moduleId") or ""),
            reported=dict(properties.get("reported") or {}),
        )
    except (ValueError, TypeError, AttributeError, InvalidId) as error:
        raise MalformedMessage(f"the twin event cannot be read: {error!r:.100}") from error


def read_lifecycle(event_type: str, data: Mapping[str, Any]) -> LifecycleEvent:
    """The lifecycle event in an Event Grid event of this type.

    Raises:
        MalformedMessage: It is of another type, or names no device.
    """
    try:
        return LifecycleEvent(kind=LifecycleKind(event_type), device=device_id(data["deviceId"]))
    except (ValueError, KeyError, TypeError, InvalidId) as error:
        raise MalformedMessage(f"the lifecycle event cannot be read: {error!r:.100}") from error
