"""Twin writes, up to 100 in one registry call (``importMode: updateTwin``).

Whether the call merges as a PATCH does, and what it is charged, is documented too thinly to be the default: a hub must
be shown to take it first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import ExportImportDevice
from azure.iot.hub.protocol.models import PropertyContainer
from msrest.exceptions import ClientException

from shared.adapters.azure_hub_errors import outcome_of_code, twin_outcome, without_retries
from shared.domain.ids import DeviceId
from shared.ports.hub import TwinOutcome, TwinResult, TwinWrite

log = logging.getLogger(__name__)

MAX_CALL_DEVICES = 100


class AzureTwinBulk:
    """A ``TwinWriter``; one instance serves all threads of a process."""

    def __init__(self, registry: IoTHubRegistryManager) -> None:
        self._registry = without_retries(registry)

    def write(self, writes: Sequence[TwinWrite]) -> list[TwinResult]:
        results: list[TwinResult] = []
        for start in range(0, len(writes), MAX_CALL_DEVICES):
            results += self._write_call(writes[start : start + MAX_CALL_DEVICES])
        return results

    def _write_call(self, writes: Sequence[TwinWrite]) -> list[TwinResult]:
        try:
            answer = self._registry.bulk_create_or_update_devices([bulk_entry(write) for write in writes])
        except ClientException as error:
            outcome, detail = twin_outcome(error)
            return _all(writes, _whole_call(outcome), detail)
        if not answer.is_successful and not answer.errors:
            # The SDK reads a refusal of the whole call (400) as an empty answer; no device is to blame for it.
            log.error("IoT Hub refused a whole bulk call")
            return _all(writes, TwinOutcome.UNAVAILABLE, "the bulk call was refused")
        return _each(writes, answer.errors or [])


def bulk_entry(write: TwinWrite) -> ExportImportDevice:
    """A twin write as an entry of a bulk call."""
    properties = PropertyContainer(desired=dict(write.desired))
    return ExportImportDevice(id=write.device, import_mode="updateTwin", properties=properties)


def _whole_call(outcome: TwinOutcome) -> TwinOutcome:
    """No single device may fail or be skipped for what the hub says of a whole call."""
    return outcome if outcome is TwinOutcome.THROTTLED else TwinOutcome.UNAVAILABLE


def _all(writes: Sequence[TwinWrite], outcome: TwinOutcome, detail: str) -> list[TwinResult]:
    return [TwinResult(device=write.device, outcome=outcome, detail=detail) for write in writes]


def _each(writes: Sequence[TwinWrite], errors: Sequence[Any]) -> list[TwinResult]:
    verdicts = {
        DeviceId(error.device_id): outcome_of_code(str(error.error_code), str(error.error_status)) for error in errors
    }
    results = []
    for write in writes:
        outcome, detail = verdicts.get(write.device, (TwinOutcome.WRITTEN, ""))
        results.append(TwinResult(device=write.device, outcome=outcome, detail=detail))
    return results
