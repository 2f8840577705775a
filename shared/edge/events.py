"""Events of the host, as the wire formats read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import azure.functions as func

from shared.wire.twin_events import RawTwinEvent


def read_hub_events(events: Sequence[func.EventHubEvent]) -> Iterator[RawTwinEvent]:
    """A batch of the hub's route, each event with the properties the hub stamped on it.

    The library gives each event its system properties, but all events of a batch one common metadata: the
    application properties stand there as ``PropertiesArray``, in the order of the events.
    """
    properties = _properties(events)
    for position, event in enumerate(events):
        system = {f"iothub-{name}": value for name, value in (event.iothub_metadata or {}).items()}
        own = properties[position] if position < len(properties) else {}
        yield RawTwinEvent(
            body=event.get_body(), properties=own, system_properties=system, enqueued_at=_utc(event.enqueued_time)
        )


def _utc(time: datetime | None) -> datetime | None:
    """The library gives a time without a zone where the host wrote none; it means UTC."""
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def event_data(event: func.CloudEvent) -> bytes:
    """The data of a CloudEvent as JSON text."""
    return json.dumps(event.get_json()).encode()


def _properties(events: Sequence[func.EventHubEvent]) -> list[Mapping[str, Any]]:
    found = (events[0].metadata or {}).get("PropertiesArray", []) if events else []
    listed = json.loads(found) if isinstance(found, str) else found
    return [each if isinstance(each, Mapping) else {} for each in listed]
