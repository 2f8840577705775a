"""An Event Grid topic, publishing side, in CloudEvents 1.0."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient

from shared.adapters.azure_access import REFUSED, Resource, explain_no_token, explain_refusal
from shared.adapters.refusals_told import throttled
from shared.ports.bus import OutgoingEvent
from shared.ports.errors import Unavailable
from shared.telemetry.carriers import TRACEPARENT, TRACESTATE, carry

MAX_CALL_BYTES = 900_000
"""A call may hold 1 MB (Event Grid quotas and limits); what is left is for the framing."""

_FRAME_BYTES = 1_000
_BUSY = frozenset({429, 503})


class AzureEvents:
    """An ``EventPublisher``; one instance serves all threads of a process."""

    def __init__(self, client: EventGridPublisherClient, *, source: str, topic: str = "") -> None:
        self._client = client
        self._source = source
        self._topic = Resource(kind="topic", name=topic)

    def publish(self, events: Sequence[OutgoingEvent]) -> None:
        for part in _parts(events):
            self._send([self._event(event) for event in part])

    def _send(self, events: list[CloudEvent[object]]) -> None:
        try:
            self._client.send(events)
        except HttpResponseError as error:
            if error.status_code in _BUSY:
                busy = f"the topic takes no more events for now ({error.status_code})"
                raise throttled("event-grid", busy) from error
            if error.status_code in REFUSED:
                raise explain_refusal("Event Grid", self._topic, status=error.status_code) from error
            raise _unusable(error) from error
        except AzureError as error:
            raise Unavailable(f"the topic cannot be reached: {type(error).__name__}") from error

    def _event(self, event: OutgoingEvent) -> CloudEvent[object]:
        data: object = json.loads(event.data)
        # CloudEvents' extension for distributed tracing has the names of W3C Trace Context.
        trace = {name: told for name, told in carry().items() if name in (TRACEPARENT, TRACESTATE)}
        return CloudEvent(
            self._source, event.type, id=event.id, subject=event.subject, data=data, extensions=dict(trace) or None
        )


def _unusable(error: HttpResponseError) -> Unavailable:
    if isinstance(error, ClientAuthenticationError):
        return explain_no_token("Event Grid", error)
    return Unavailable(f"the topic refused events ({error.status_code})")


def _parts(events: Sequence[OutgoingEvent]) -> Iterator[list[OutgoingEvent]]:
    """The events in order, cut so that each part fits into one call."""
    part: list[OutgoingEvent] = []
    size_bytes = 0
    for event in events:
        event_bytes = len(event.data) + _FRAME_BYTES
        if part and size_bytes + event_bytes > MAX_CALL_BYTES:
            yield part
            part, size_bytes = [], 0
        part.append(event)
        size_bytes += event_bytes
    if part:
        yield part
