"""Events as publishers send them: CloudEvents 1.0 or Event Grid's own schema, checked on arrival."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LARGEST_PUBLISH_BYTES = 1024 * 1024  # event-grid/quotas-limits: one publish, array and all
MOST_EVENTS_PER_PUBLISH = 5000
_CLOUD_FIELDS = ("id", "source", "type", "specversion")
_GRID_FIELDS = ("id", "subject", "eventType", "eventTime", "data", "dataVersion")


class EventRefusedError(ValueError):
    """A publish that Event Grid answers with an error.

    Attributes:
        status: the HTTP status to answer.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class GridEvent:
    """One event in a topic.

    Attributes:
        fields: the event as published, and as it will be delivered.
        published_at: when the topic took it.
    """

    fields: Mapping[str, Any]
    published_at: datetime

    @property
    def is_cloud_event(self) -> bool:
        return "specversion" in self.fields

    @property
    def event_type(self) -> str:
        return str(self.fields["type" if self.is_cloud_event else "eventType"])

    @property
    def subject(self) -> str:
        return str(self.fields.get("subject") or "")

    def delivery(self) -> tuple[bytes, str]:
        """Body and content type of a delivery: one CloudEvent, or an array of one Event Grid event."""
        if self.is_cloud_event:
            return json.dumps(self.fields).encode(), "application/cloudevents+json; charset=utf-8"
        return json.dumps([self.fields]).encode(), "application/json; charset=utf-8"


def read_publish(body: bytes, content_type: str, *, topic: str, now: datetime) -> list[GridEvent]:
    """Read the body of a publish.

    Args:
        content_type: `application/cloudevents…` means CloudEvents, anything else Event Grid events.
        topic: resource path that Event Grid events get as their `topic`.
        now: the time of arrival.

    Raises:
        EventRefusedError: too large (413), not JSON, too many, or a required field is missing (400).
    """
    if len(body) > LARGEST_PUBLISH_BYTES:
        raise EventRefusedError("the maximum size of 1,048,576 bytes has been exceeded", status=413)
    try:
        content = json.loads(body)
    except ValueError as error:
        raise EventRefusedError(f"not JSON: {error}") from error
    events = content if isinstance(content, list) else [content]
    if len(events) > MOST_EVENTS_PER_PUBLISH:
        raise EventRefusedError(f"more than {MOST_EVENTS_PER_PUBLISH} events")
    read = _cloud_event if content_type.startswith("application/cloudevents") else _grid_event
    return [GridEvent(fields=read(event, topic), published_at=now) for event in events]


def _cloud_event(event: Any, _topic: str) -> dict[str, Any]:
    fields = _require(event, _CLOUD_FIELDS)
    if fields["specversion"] != "1.0":
        raise EventRefusedError("specversion is not 1.0")
    return fields


def _grid_event(event: Any, topic: str) -> dict[str, Any]:
    return _require(event, _GRID_FIELDS) | {"topic": topic, "metadataVersion": "1"}


def _require(event: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(event, dict):
        raise EventRefusedError("an event is not an object")
    missing = [name for name in names if name not in event]
    if missing:
        raise EventRefusedError(f"this resource expects the input schema's fields; missing: {missing}")
    return event


def utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
