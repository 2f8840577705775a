"""What of a campaign request says how its targets are cut into waves, and what the gates of those ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from shared.domain.errors import DomainError
from shared.domain.gates import Gate, OnStop
from shared.domain.hub_queries import check_condition
from shared.domain.plan_checks import find_impossible
from shared.domain.waves import DeviceCount, Matching, Percent, Rest, WaveSize, WaveSpec, slice_waves
from shared.wire.http_fields import InvalidRequest, Name, PercentField, RequestModel, exactly_one

MAX_WAVES = 50
"""With the campaign's row they stay within one table transaction of 100 entities."""


type _Count = Annotated[int, Field(ge=1)]


class GateRequest(RequestModel):
    """The conditions under which the next wave starts, or the campaign stops; see ``shared.domain.gates.Gate``.

    Whoever gives ``failure_count`` or ``silent_count`` and leaves the percentage beside it out sets no percentage."""

    @model_validator(mode="before")
    @classmethod
    def _count_alone(cls, given: Any) -> Any:
        """The percentage's own value would else stop the wave before the count that was given, without a word."""
        if not isinstance(given, dict):
            return given
        alone = [name for name in ("failure", "silent") if given.get(f"{name}_count") is not None]
        return {f"{name}_percent": None for name in alone} | given

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


def _check_filter(text: str) -> str:
    try:
        check_condition(text)
    except DomainError as error:
        raise ValueError(error.message) from error
    return text


class WaveRequest(RequestModel):
    """One wave; exactly one of ``count`` devices, ``percent`` of the targets, the ``rest``, and a ``filter``, a
    condition such as ``tags.ring = 'canary'``. The other waves share the targets that no filter takes."""

    model_config = ConfigDict(
        json_schema_extra=exactly_one(count="integer", percent="number", rest="boolean", filter="string")
    )

    name: Name | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    percent: Annotated[float, Field(gt=0, le=100)] | None = None
    rest: Literal[True] | None = None
    filter: Annotated[str, Field(max_length=1_000), AfterValidator(_check_filter)] | None = None
    gate: GateRequest | None = None

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if sum(size is not None for size in (self.count, self.percent, self.rest, self.filter)) != 1:
            raise ValueError("give exactly one of count, percent, rest and filter")
        return self

    def to_wave(self, number: int, default_gate: Gate) -> WaveSpec:
        """The wave it means."""
        gate = self.gate.to_gate() if self.gate else default_gate
        return WaveSpec(name=self.name or f"wave {number}", size=self._size(), gate=gate)

    def _size(self) -> WaveSize:
        if self.count is not None:
            return DeviceCount(devices=self.count)
        if self.filter is not None:
            return Matching(condition=self.filter)
        return Rest() if self.percent is None else Percent(percent=self.percent)


def refuse_impossible(waves: Sequence[WaveSpec], sizes: Sequence[int]) -> None:
    """Return if nothing about the waves can never work.

    Args:
        sizes: How many devices each wave has, or has at most; 0 where nobody knows yet.

    Raises:
        InvalidRequest: Something cannot; every field of it is named.
    """
    if impossible := find_impossible(waves, sizes):
        raise InvalidRequest("; ".join(impossible))


def check_cover(waves: Sequence[WaveSpec], devices: int) -> None:
    """Return if the waves hold all targets, as far as that can be known before the targets are listed."""
    check_order(waves)
    cut = [(place, wave.size) for place, wave in enumerate(waves) if not isinstance(wave.size, Matching)]
    if any(isinstance(size, Rest) for _, size in cut):
        return
    if sum(size.percent for _, size in cut if isinstance(size, Percent)) >= 100:
        return
    try:
        # In the worst case no target meets a filter, and the other waves must hold them all.
        slice_waves(devices or 2**31, waves)
    except DomainError as error:
        raise InvalidRequest(f"waves: {_LEFT_OVER if devices == 0 else error.message}") from error


def check_order(waves: Sequence[WaveSpec]) -> None:
    """Return if each filter stands there once, and no wave is cut behind the rest."""
    _check_filters(waves)
    cut = [(place, wave.size) for place, wave in enumerate(waves) if not isinstance(wave.size, Matching)]
    for place, size in cut[:-1]:
        if isinstance(size, Rest):
            raise InvalidRequest(f"waves.{place}.rest: only the last wave without a filter can be the rest")


def _check_filters(waves: Sequence[WaveSpec]) -> None:
    seen: dict[str, int] = {}
    for place, wave in enumerate(waves):
        if not isinstance(wave.size, Matching):
            continue
        if (first := seen.setdefault(wave.size.condition, place)) != place:
            raise InvalidRequest(f"waves.{place}.filter: waves.{first} takes all devices that meet it")


_LEFT_OVER = 'the waves may leave devices over; end with {"rest": true}'
