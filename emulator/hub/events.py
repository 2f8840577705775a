"""What the hub tells the outside: twin changes, lifecycle, connection states, telemetry.

Shapes: "Azure IoT Hub non-telemetry event schemas", 2024-04-10.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from emulator.hub.clock import Clock, write_time
from emulator.hub.documents import Json


class EventKind(StrEnum):
    """The kinds of events, by the words of the event schema."""

    TWIN_CHANGE = "twinChange"
    DEVICE_LIFECYCLE = "deviceLifecycle"
    CONNECTION_STATE = "connectionState"
    TELEMETRY = "telemetry"


_SOURCES = {
    EventKind.TWIN_CHANGE: ("twinChangeEvents", "twinChangeNotification"),
    EventKind.DEVICE_LIFECYCLE: ("deviceLifecycleEvents", "deviceLifecycleNotification"),
    EventKind.CONNECTION_STATE: ("deviceConnectionStateEvents", "deviceConnectionStateNotification"),
}


class OpType(StrEnum):
    """What was done, the application property ``opType``."""

    UPDATE_TWIN = "updateTwin"
    REPLACE_TWIN = "replaceTwin"
    CREATE_DEVICE = "createDeviceIdentity"
    DELETE_DEVICE = "deleteDeviceIdentity"
    CONNECTED = "deviceConnected"
    DISCONNECTED = "deviceDisconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubEvent:
    """One event, as a routing endpoint gets it.

    Attributes:
        body: shared with the hub's own state: read it or serialise it, never alter it. Telemetry that is no JSON
            object comes as ``{"base64": "…"}``.
        system_properties: the message annotations and AMQP properties, all as text; ``iothub-enqueuedtime`` in ISO
            8601, as the Event Hubs extension of Functions shows it.
    """

    kind: EventKind
    device_id: str
    body: Mapping[str, Any]
    application_properties: Mapping[str, str]
    system_properties: Mapping[str, str]
    enqueued_at: datetime


type EventSink = Callable[[HubEvent], None]


class EventEmitter:
    """Builds events and hands them to the sink; does nothing without one.

    Args:
        sink: called in the hub's loop, in order; it must neither block nor raise.
    """

    def __init__(self, hub_name: str, clock: Clock, sink: EventSink | None) -> None:
        self._hub_name = hub_name
        self._clock = clock
        self.sink = sink
        self._connection_sequence = 0

    def notify(self, kind: EventKind, device_id: str, op_type: OpType, body: Mapping[str, Any]) -> None:
        """Emit a notification of the hub itself."""
        if self.sink is None:
            return
        now = self._clock()
        source, schema = _SOURCES[kind]
        application = {
            "hubName": self._hub_name,
            "deviceId": device_id,
            "operationTimestamp": write_time(now),
            "iothub-message-schema": schema,
            "opType": op_type.value,
        }
        system = self._system_properties(device_id, source, now) | _JSON_CONTENT
        self.sink(
            HubEvent(
                kind=kind,
                device_id=device_id,
                body=body,
                application_properties=application,
                system_properties=system | {"user-id": self._hub_name, "correlation-id": secrets.token_hex(6)},
                enqueued_at=now,
            )
        )

    def notify_connection(self, device_id: str, op_type: OpType) -> None:
        """Emit a change of connection state; the sequence number rises with each."""
        self._connection_sequence += 1
        body = {"sequenceNumber": f"{self._connection_sequence:060X}"}
        self.notify(EventKind.CONNECTION_STATE, device_id, op_type, body)

    def forward_telemetry(
        self, device_id: str, body: Json, application: Mapping[str, str], system: Mapping[str, str]
    ) -> None:
        """Emit a device-to-cloud message."""
        if self.sink is None:
            return
        now = self._clock()
        self.sink(
            HubEvent(
                kind=EventKind.TELEMETRY,
                device_id=device_id,
                body=body,
                application_properties=application,
                system_properties={**self._system_properties(device_id, "Telemetry", now), **system},
                enqueued_at=now,
            )
        )

    def _system_properties(self, device_id: str, source: str, now: datetime) -> dict[str, str]:
        return {
            "iothub-connection-device-id": device_id,
            "iothub-enqueuedtime": write_time(now),
            "iothub-message-source": source,
        }


_JSON_CONTENT = {"content-type": "application/json", "content-encoding": "utf-8"}
