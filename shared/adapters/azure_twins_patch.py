"""Twin writes, one PATCH per device, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties
from msrest.exceptions import ClientException

from shared.adapters.azure_hub_errors import twin_outcome, without_retries
from shared.ports.errors import QuotaExceeded
from shared.ports.hub import TwinOutcome, TwinResult, TwinWrite
from shared.telemetry.threads import TellingThreads

PARALLEL_WRITES = 10
"""The SDK keeps one connection per thread; ten of them fill S1's 50 updates a second at 200 ms a call."""

MAX_OUTAGES = 3
"""Failed calls after which the rest of a batch is not tried: with a hub that hangs each call takes 30 s, and all 99 of
a batch at ten a time half of ``functionTimeout``."""


class AzureTwinPatches:
    """A ``TwinWriter``; one instance serves all threads of a process."""

    def __init__(self, registry: IoTHubRegistryManager, *, parallel: int = PARALLEL_WRITES) -> None:
        self._registry = without_retries(registry)
        self._pool = TellingThreads(parallel, thread_name_prefix="twin-writes")

    def write(self, writes: Sequence[TwinWrite]) -> list[TwinResult]:
        brake = _Brake()
        return list(self._pool.map(lambda write: self._write(write, brake), writes))

    def _write(self, write: TwinWrite, brake: _Brake) -> TwinResult:
        """Write one twin, unless the hub has asked for fewer calls, or failed too often, since the batch began."""
        if brake.reason is not None:
            return TwinResult(device=write.device, outcome=brake.reason, detail="not tried")
        twin = Twin(properties=TwinProperties(desired=dict(write.desired)))
        try:
            self._registry.update_twin(write.device, twin)
        except ClientException as error:
            try:
                outcome, detail = twin_outcome(error)
            except QuotaExceeded:
                brake.note(TwinOutcome.THROTTLED)
                raise
            brake.note(outcome)
            return TwinResult(device=write.device, outcome=outcome, detail=detail)
        return TwinResult(device=write.device, outcome=TwinOutcome.WRITTEN)


class _Brake:
    """Ends the writing of one batch early.

    Attributes:
        reason: The outcome of all writes that are not begun yet; None while writing goes on.
    """

    def __init__(self) -> None:
        self.reason: TwinOutcome | None = None
        self._outages = 0
        self._lock = Lock()

    def note(self, outcome: TwinOutcome) -> None:
        """Take notice of how a write ended."""
        with self._lock:
            self._outages += outcome is TwinOutcome.UNAVAILABLE
            if outcome is TwinOutcome.THROTTLED:
                self.reason = outcome
            elif self._outages >= MAX_OUTAGES:
                self.reason = self.reason or TwinOutcome.UNAVAILABLE
