"""What of a campaign request says how its targets are cut into waves, and what the gates of those ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from shared.domain.errors import DomainError
from shared.domain.gates import Gate, OnStop
from shared.domain.waves import DeviceCount, Percent, Rest, WaveSize, WaveSpec, slice_waves
from shared.wire.http_fields import InvalidRequest, Name, PercentField, RequestModel, exactly_one

MAX_WAVES = 50
"""With the campaign's row they stay within one table transaction of 100 entities."""


type _Count = Annotated[int, Field(ge=1)]


class GateRequest(RequestModel):
    """The conditions under which the next wave starts, or the campaign stops; see ``shared.domain.gates.Gate``."""

    success_percent: PercentField = Gate().success_percent
    success_count: _Count | None = Gate().success_count
    failure_percent: PercentField | None = Gate().failure_percent
    failure_count: _Count | None = Gate().failure_count
    rejected_percent: PercentField | None = Gate().rejected_percent
    rejected_count: _Count | None = Gate().rejected_count
    silent_percent: PercentField | None = Gate().silent_percent
    silent_count: _Count | None = Gate().silent_count
    minimum_completed: _Count = Gate().minimum_completed
    confidence_percent: Annotated[float, Field(ge=50, le=99.99)] | None = Gate().confidence_percent
    soak_s: Annotated[float, Field(ge=0, le=90 * 86_400)] = Gate().soak_s
    on_stop: OnStop = Gate().on_stop

    def to_gate(self) -> Gate:
        """The gate it means."""
        return Gate(**self.model_dump())


class WaveRequest(RequestModel):
    """One wave: ``count`` devices, ``percent`` of all targets, or the ``rest``; exactly one of the three."""

    model_config = ConfigDict(json_schema_extra=exactly_one(count="integer", percent="number", rest="boolean"))

    name: Name | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    percent: Annotated[float, Field(gt=0, le=100)] | None = None
    rest: Literal[True] | None = None
    gate: GateRequest | None = None

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if sum(size is not None for size in (self.count, self.percent, self.rest)) != 1:
            raise ValueError("give exactly one of count, percent and rest")
        return self

    def to_wave(self, number: int, default_gate: Gate) -> WaveSpec:
        """The wave it means."""
        gate = self.gate.to_gate() if self.gate else default_gate
        return WaveSpec(name=self.name or f"wave {number}", size=self._size(), gate=gate)

    def _size(self) -> WaveSize:
        if self.count is not None:
            return DeviceCount(devices=self.count)
        return Rest() if self.percent is None else Percent(percent=self.percent)


def check_cover(waves: Sequence[WaveSpec], devices: int) -> None:
    """Return if the waves hold all targets, as far as that can be known before the targets are listed."""
    for number, wave in enumerate(waves[:-1], start=1):
        if isinstance(wave.size, Rest):
            raise InvalidRequest(f"waves.{number - 1}.rest: only the last wave can be the rest")
    if isinstance(waves[-1].size, Rest) or sum(w.size.percent for w in waves if isinstance(w.size, Percent)) >= 100:
        return
    try:
        slice_waves(devices or 2**31, waves)
    except DomainError as error:
        raise InvalidRequest(f"waves: {_LEFT_OVER if devices == 0 else error.message}") from error


_LEFT_OVER = 'the waves may leave devices over; end with {"rest": true}'
