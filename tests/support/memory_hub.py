"""An IoT Hub in memory, with faults on demand: twins, their reported sections, and how writes to them end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from shared.domain.ids import DeviceId
from shared.ports.errors import QuotaExceeded
from shared.ports.hub import TwinOutcome, TwinResult, TwinWrite


class MemoryHub:
    """A ``TwinWriter`` and a ``TwinReader``.

    Attributes:
        verdicts: Outcomes other than success, by device, until a test takes them away.
        room: Twin writes the hub still takes; None for no bound. The rest is throttled.
        quota: Twin writes until the daily quota is used up; None for no quota.
        failures: What the next reads of a twin raise.
        meanwhile: What happens once, after the next batch is written and before its writer hears of it.
    """

    def __init__(self, devices: Iterable[str] = ()) -> None:
        self.desired: dict[DeviceId, dict[str, Any]] = {DeviceId(device): {} for device in devices}
        self.reported: dict[DeviceId, dict[str, Any]] = {DeviceId(device): {"$version": 1} for device in devices}
        self.verdicts: dict[DeviceId, TwinOutcome] = {}
        self.room: int | None = None
        self.quota: int | None = None
        self.failures: list[Exception] = []
        self.meanwhile: Callable[[], None] | None = None
        self.writes: Counter[DeviceId] = Counter()
        self.reads: Counter[DeviceId] = Counter()

    def write(self, writes: Sequence[TwinWrite]) -> list[TwinResult]:
        results = [self._write(write) for write in writes]
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            meanwhile()
        return results

    def read_reported(self, device: DeviceId) -> Mapping[str, Any] | None:
        if self.failures:
            raise self.failures.pop(0)
        self.reads[device] += 1
        return deepcopy(self.reported.get(device))

    def delete(self, device: DeviceId) -> None:
        """Forget a device."""
        self.desired.pop(device)
        self.reported.pop(device)

    def _write(self, write: TwinWrite) -> TwinResult:
        outcome = self._outcome(write.device)
        if outcome is TwinOutcome.WRITTEN:
            self.writes[write.device] += 1
            twin = self.desired[write.device]
            for key, value in write.desired.items():
                twin.pop(key, None) if value is None else twin.update({key: deepcopy(value)})
        return TwinResult(device=write.device, outcome=outcome, detail="" if outcome is TwinOutcome.WRITTEN else "why")

    def _outcome(self, device: DeviceId) -> TwinOutcome:
        if self.quota is not None:
            self.quota -= 1
            if self.quota < 0:
                raise QuotaExceeded("the daily quota is used up")
        if device in self.verdicts:
            return self.verdicts[device]
        if device not in self.desired:
            return TwinOutcome.NO_DEVICE
        if self.room is not None:
            self.room -= 1
            if self.room < 0:
                return TwinOutcome.THROTTLED
        return TwinOutcome.WRITTEN
