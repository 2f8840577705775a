"""Event Hub triggers: one reader per partition, whose pointer moves on whatever the function did.

A failed batch is gone once its retry policy is used up (Azure: "checkpoints even if the function throws").
The pointer itself lives outside this process, so that killing the host repeats at most one batch.
"""

import asyncio
import json
import logging
import random
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp

from emulator.host.app_settings import read_connection_string
from emulator.host.executions import Executions
from emulator.host.functions import Function
from emulator.host.invoker import Invoker
from emulator.host.retrying import invoke_with_retry
from emulator.host.rpc import TypedData, byte_strings, strings

log = logging.getLogger("host.eventhub")
_LONG_POLL_S = 20
_OUTAGE_PAUSE_S = 0.5
type Event = Mapping[str, Any]


class EventHubTrigger:
    """Drives one Event Hub function.

    Args:
        connection: fields found under the trigger's connection name.
        batch_size: host.json's maxEventBatchSize.
        executions: where a batch is brought to its end when `run` is cancelled.
    """

    def __init__(
        self,
        function: Function,
        *,
        connection: dict[str, str],
        batch_size: int,
        invoker: Invoker,
        executions: Executions,
    ) -> None:
        fields = read_connection_string(connection["connectionString"])
        self.function = function
        self._group = function.trigger.text("consumerGroup", "$Default")
        self._hub = function.trigger.text("eventHubName", fields.get("EntityPath", ""))
        self._base = fields["Endpoint"].replace("sb://", "http://").rstrip("/") + f"/eventhubs/{self._hub}"
        self._headers = {"Authorization": fields["SharedAccessKey"]}
        self._batch_size = batch_size
        self._invoker = invoker
        self._executions = executions

    async def run(self) -> None:
        """Read all partitions for ever; cancel to take no more batches."""
        async with aiohttp.ClientSession(headers=self._headers) as http:
            count = await self._partition_count(http)
            async with asyncio.TaskGroup() as readers:
                for partition in range(count):
                    readers.create_task(self._read(http, partition))

    async def _partition_count(self, http: aiohttp.ClientSession) -> int:
        while True:
            try:
                async with http.get(self._base) as answer:
                    answer.raise_for_status()
                    return len((await answer.json())["partitions"])
            except (aiohttp.ClientError, OSError) as error:
                log.warning("%s: %s: %s", self.function.name, self._hub, error)
                await asyncio.sleep(_OUTAGE_PAUSE_S)

    async def _read(self, http: aiohttp.ClientSession, partition: int) -> None:
        url = f"{self._base}/partitions/{partition}"
        while True:
            try:
                events = await self._receive(http, url)
                if events:
                    await self._executions.complete(self._serve(partition, events))
            except (aiohttp.ClientError, OSError) as error:
                log.warning("%s: partition %d: %s", self.function.name, partition, error)
                await asyncio.sleep(_OUTAGE_PAUSE_S)

    async def _receive(self, http: aiohttp.ClientSession, url: str) -> list[Event]:
        query: dict[str, str | int] = {"group": self._group, "max": self._batch_size, "wait": _LONG_POLL_S}
        async with http.get(f"{url}/events", params=query) as answer:
            answer.raise_for_status()
            events: list[Event] = await answer.json()
            return events

    async def _serve(self, partition: int, events: list[Event]) -> None:
        """Execute, then move the pointer: with connections of its own, because the readers' may be closed by then."""
        await self._execute(partition, events)
        body = {"group": self._group, "sequenceNumber": events[-1]["sequenceNumber"]}
        url = f"{self._base}/partitions/{partition}/checkpoint"
        async with aiohttp.ClientSession(headers=self._headers) as http, http.put(url, json=body) as answer:
            answer.raise_for_status()

    async def _execute(self, partition: int, events: list[Event]) -> None:
        for value, metadata in self._triggers(partition, events):
            await invoke_with_retry(self._invoker, self.function, value, metadata, random.Random())

    def _triggers(self, partition: int, events: list[Event]) -> Iterator[tuple[TypedData, dict[str, TypedData]]]:
        context = {
            "PartitionId": str(partition),
            "EventHubName": self._hub,
            "ConsumerGroup": self._group,
        }
        if self.function.trigger.takes_batches:
            yield batch_trigger(events, context, as_bytes=self.function.trigger.takes_bytes)
            return
        for event in events:
            yield single_trigger(event, context)


def _system_properties(event: Event) -> dict[str, Any]:
    """System properties as the extension binds them: the hub's own, and four well-known fields."""
    return {
        **event["systemProperties"],
        "SequenceNumber": event["sequenceNumber"],
        "Offset": event["offset"],
        "PartitionKey": event["partitionKey"],
        "EnqueuedTimeUtc": event["enqueuedTimeUtc"],
    }


def batch_trigger(
    events: list[Event], context: Mapping[str, str], *, as_bytes: bool
) -> tuple[TypedData, dict[str, TypedData]]:
    """Value and metadata for cardinality many; `PropertiesArray` holds the application properties."""
    bodies = [str(event["body"]) for event in events]
    system = [_system_properties(event) for event in events]
    arrays = {
        "SystemPropertiesArray": system,
        "PropertiesArray": [event["properties"] for event in events],
        "SequenceNumberArray": [event["sequenceNumber"] for event in events],
        "OffsetArray": [event["offset"] for event in events],
        "PartitionKeyArray": [event["partitionKey"] for event in events],
        "EnqueuedTimeUtcArray": [event["enqueuedTimeUtc"] for event in events],
    }
    value = byte_strings([body.encode() for body in bodies]) if as_bytes else strings(bodies)
    return value, _as_json(arrays | {"PartitionContext": context})


def single_trigger(event: Event, context: Mapping[str, str]) -> tuple[TypedData, dict[str, TypedData]]:
    """Value and metadata for cardinality one."""
    system = _system_properties(event)
    metadata = _as_json({"SystemProperties": system, "Properties": event["properties"]})
    metadata |= _as_json({"PartitionContext": context, "SequenceNumber": event["sequenceNumber"]})
    texts = {name: system[name] for name in ("Offset", "PartitionKey", "EnqueuedTimeUtc")}
    metadata |= {name: TypedData(string=str(text)) for name, text in texts.items() if text is not None}
    return TypedData(string=str(event["body"])), metadata


def _as_json(fields: Mapping[str, Any]) -> dict[str, TypedData]:
    return {name: TypedData(json=json.dumps(field)) for name, field in fields.items()}
