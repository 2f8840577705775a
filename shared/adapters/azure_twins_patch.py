"""Twin writes, one PATCH per device, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties
from msrest.exceptions import ClientException

from shared.adapters.azure_hub_errors import twin_outcome, without_retries
from shared.ports.errors import QuotaExceeded
from shared.ports.hub import TwinOutcome, TwinResult, TwinWrite

PARALLEL_WRITES = 10
"""The SDK keeps one connection per thread; ten of them fill S1's 50 updates a second at 200 ms a call."""


class AzureTwinPatches:
    """A ``TwinWriter``; one instance serves all threads of a process."""

    def __init__(self, registry: IoTHubRegistryManager, *, parallel: int = PARALLEL_WRITES) -> None:
        self._registry = without_retries(registry)
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="twin-writes")

    def write(self, writes: Sequence[TwinWrite]) -> list[TwinResult]:
        stop = Event()
        return list(self._pool.map(lambda write: self._write(write, stop), writes))

    def _write(self, write: TwinWrite, stop: Event) -> TwinResult:
        """Write one twin, unless the hub has asked for fewer calls since the batch began."""
        if stop.is_set():
            return TwinResult(device=write.device, outcome=TwinOutcome.THROTTLED, detail="not tried")
        twin = Twin(properties=TwinProperties(desired=dict(write.desired)))
        try:
            self._registry.update_twin(write.device, twin)
        except ClientException as error:
            try:
                outcome, detail = twin_outcome(error)
            except QuotaExceeded:
                stop.set()
                raise
            if outcome is TwinOutcome.THROTTLED:
                stop.set()
            return TwinResult(device=write.device, outcome=outcome, detail=detail)
        return TwinResult(device=write.device, outcome=TwinOutcome.WRITTEN)
