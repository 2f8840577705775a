"""The official Event Hubs emulator, or Event Hubs itself, as a place to send to."""

from collections.abc import Mapping, Sequence
from typing import Any

from azure.eventhub import EventData, EventHubProducerClient


class EventHubSink:
    """Sends with the ``azure-eventhub`` SDK; closed by whoever made it. One lock: producers are not thread-safe.

    Args:
        connection_string: of the namespace.
        hub: name of the event hub.
    """

    def __init__(self, connection_string: str, hub: str) -> None:
        self._producer = EventHubProducerClient.from_connection_string(connection_string, eventhub_name=hub)

    def send(self, events: Sequence[Mapping[str, Any]], *, partition_key: str) -> None:
        self._producer.send_batch([_event(event) for event in events], partition_key=partition_key)

    def close(self) -> None:
        """Close the connection."""
        self._producer.close()


def _event(event: Mapping[str, Any]) -> EventData:
    data = EventData(event["body"])
    data.properties = dict(event["properties"])
    annotations = data.raw_amqp_message.annotations or {}
    data.raw_amqp_message.annotations = {**annotations, **event["systemProperties"]}
    return data
