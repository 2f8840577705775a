"""Where the hub's events go: through its routes to event hubs, and to its Event Grid system topic."""

import json
import logging
import uuid
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from emulator.cloud_config import RouteConfig
from emulator.eventhub.conditions import Routed, parse_condition
from emulator.eventhub.log import EventLog
from emulator.faults import TwinFaults
from emulator.grid.events import utc_text
from emulator.grid.topics import Topics
from emulator.hub import HubEvent

log = logging.getLogger("cloud.routes")
_SOURCES = {
    "twinChange": "TwinChangeEvents",
    "telemetry": "DeviceMessages",
    "deviceLifecycle": "DeviceLifecycleEvents",
    "connectionState": "DeviceConnectionStateEvents",
}
_GRID_TYPES = {
    "createDeviceIdentity": "Microsoft.Devices.DeviceCreated",
    "deleteDeviceIdentity": "Microsoft.Devices.DeviceDeleted",
    "deviceConnected": "Microsoft.Devices.DeviceConnected",
    "deviceDisconnected": "Microsoft.Devices.DeviceDisconnected",
}


class HubRoutes:
    """Takes every event of the hub.

    Args:
        routes: evaluated in order; an event reaches each event hub at most once.
        event_hubs: by name.
        system_topic: topic for lifecycle and connection events, empty for none.

    Raises:
        ConditionError: a route's condition cannot be parsed.
    """

    def __init__(
        self,
        routes: tuple[RouteConfig, ...],
        *,
        event_hubs: Mapping[str, EventLog],
        topics: Topics,
        system_topic: str,
        hub_name: str,
    ) -> None:
        self._routes = [(route, parse_condition(route.condition)) for route in routes]
        self._event_hubs = event_hubs
        self._topics = topics
        self._system_topic = system_topic
        self._hub_name = hub_name
        self.faults = TwinFaults(self._route)

    def accept(self, event: HubEvent) -> None:
        """Called by the hub for each event."""
        if event.kind == "twinChange":
            self.faults.accept(event)
        else:
            self._route(event)
        self._publish_to_system_topic(event)

    def _route(self, event: HubEvent) -> None:
        message = Routed(
            body=event.body,
            properties=event.application_properties,
            system_properties=event.system_properties,
        )
        source = _SOURCES[event.kind]
        wanted = (route.event_hub for route, holds in self._routes if route.source == source and holds(message))
        for name in dict.fromkeys(wanted):
            self._event_hubs[name].append(
                key=event.device_id,
                body=json.dumps(event.body),
                properties=event.application_properties,
                system_properties=event.system_properties,
            )

    def _publish_to_system_topic(self, event: HubEvent) -> None:
        event_type = _GRID_TYPES.get(event.application_properties.get("opType", ""))
        if not self._system_topic or event_type is None:
            return
        self._topics.publish(self._system_topic, self._grid_event(event, event_type))

    def _grid_event(self, event: HubEvent, event_type: str) -> dict[str, Any]:
        """Documented schema: event-grid/event-schema-iot-hub."""
        data: dict[str, Any] = {"hubName": self._hub_name, "deviceId": event.device_id}
        if event.kind == "deviceLifecycle":
            data["twin"] = deepcopy(event.body)  # delivered later, while the hub goes on changing it
        else:
            sequence = event.body.get("sequenceNumber", "")
            data["deviceConnectionStateEventInfo"] = {"sequenceNumber": sequence}
        return {
            "id": str(uuid.uuid4()),
            "topic": f"/subscriptions/local/providers/Microsoft.Devices/IotHubs/{self._hub_name}",
            "subject": f"devices/{event.device_id}",
            "eventType": event_type,
            "eventTime": utc_text(datetime.now(UTC)),
            "data": data,
            "dataVersion": "1",
            "metadataVersion": "1",
        }
