"""What operators post to ``/campaigns``, checked field by field, and the campaign specification it means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import time
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.domain.campaigns import CampaignSpec, Deadlines, DeviceList, DeviceQuery, Targets, digest_devices
from shared.domain.errors import DomainError
from shared.domain.gates import Gate
from shared.domain.ids import DeviceId, device_id, package_name
from shared.domain.rollouts import PackageTarget
from shared.domain.waves import DeviceCount, Percent, Rest, WaveSize, WaveSpec, slice_waves
from shared.domain.windows import DEVICE_ZONE, MAX_WINDOWS, Window, find_zone

MAX_DEVICES = 10_000
MAX_WAVES = 50
"""With the campaign's row they stay within one table transaction of 100 entities."""

_QUERY = re.compile(r"\s*SELECT\s+(?:\*|[\w.,\s]+?)\s+FROM\s+devices(?:\s+WHERE\s+\S.*)?\s*", re.IGNORECASE | re.DOTALL)
_GROUPING = re.compile(r"\bGROUP\s+BY\b", re.IGNORECASE)


class InvalidRequest(DomainError):
    """The request breaks a rule; the message names every field that does."""

    code = "invalid_request"


def _check_device(text: str) -> str:
    try:
        return device_id(text)
    except DomainError as error:
        raise ValueError(error.message) from error


def _check_package(text: str) -> str:
    try:
        return package_name(text)
    except DomainError as error:
        raise ValueError(error.message) from error


def _check_zone(text: str) -> str:
    if text != DEVICE_ZONE:
        try:
            find_zone(text)
        except DomainError as error:
            raise ValueError(error.message.removeprefix("zone: ")) from error
    return text


def _check_query(text: str) -> str:
    if not _QUERY.fullmatch(text) or _GROUPING.search(text):
        raise ValueError("only SELECT … FROM devices, with or without WHERE, finds devices")
    return text.strip()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


type _Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
type _Percent = Annotated[float, Field(ge=0, le=100)]
type _Seconds = Annotated[float, Field(ge=1, le=366 * 86_400)]


class PackageRequest(_Model):
    """The package, which must be published."""

    name: Annotated[str, AfterValidator(_check_package)]
    version: _Name


class TargetsRequest(_Model):
    """Who gets it: ids one by one, or an IoT Hub query over ``devices``; exactly one of the two."""

    devices: Annotated[
        list[Annotated[str, AfterValidator(_check_device)]] | None, Field(min_length=1, max_length=MAX_DEVICES)
    ] = None
    query: Annotated[str, Field(max_length=4_000), AfterValidator(_check_query)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.devices is None) == (self.query is None):
            raise ValueError("give either devices or query")
        return self


class GateRequest(_Model):
    """The conditions under which the next wave starts, or the campaign stops; see ``shared.domain.gates.Gate``."""

    success_percent: _Percent = Gate().success_percent
    failure_percent: _Percent | None = Gate().failure_percent
    failure_count: Annotated[int, Field(ge=1)] | None = Gate().failure_count
    silent_percent: _Percent | None = Gate().silent_percent
    minimum_completed: Annotated[int, Field(ge=1)] = Gate().minimum_completed
    soak_s: Annotated[float, Field(ge=0, le=90 * 86_400)] = Gate().soak_s

    def to_gate(self) -> Gate:
        """The gate it means."""
        return Gate(**self.model_dump())


class WaveRequest(_Model):
    """One wave: ``count`` devices, ``percent`` of all targets, or the ``rest``; exactly one of the three."""

    name: _Name | None = None
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


class DeadlinesRequest(_Model):
    """Seconds a device may stay in a state before it counts as timed out."""

    offered_s: _Seconds = Deadlines().offered_s
    downloading_s: _Seconds = Deadlines().downloading_s
    installing_s: _Seconds = Deadlines().installing_s
    restarting_s: _Seconds = Deadlines().restarting_s


type _TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class WindowRequest(_Model):
    """When devices may install: days on which it begins, times of day ``HH:MM``, and a time zone.

    ``end`` not later than ``start`` lies on the next day. ``zone`` is an IANA name, or ``device`` for the device's own.
    """

    days: Annotated[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(min_length=1)]
    start: _TimeOfDay
    end: _TimeOfDay
    zone: Annotated[str, Field(max_length=60), AfterValidator(_check_zone)] = DEVICE_ZONE

    def to_window(self) -> Window:
        """The window it means."""
        return Window(
            days=tuple(sorted({WEEKDAYS.index(day) + 1 for day in self.days})),
            start=time.fromisoformat(self.start),
            end=time.fromisoformat(self.end),
            zone=self.zone,
        )


class CampaignRequest(_Model):
    """A campaign as an operator asks for it. Without ``waves`` all targets are one wave."""

    name: _Name
    package: PackageRequest
    targets: TargetsRequest
    waves: Annotated[list[WaveRequest], Field(min_length=1, max_length=MAX_WAVES)] = [WaveRequest(rest=True)]
    gate: GateRequest = GateRequest()
    deadlines: DeadlinesRequest = DeadlinesRequest()
    allow_downgrade: bool = False
    windows: Annotated[list[WindowRequest], Field(max_length=MAX_WINDOWS)] = []

    @property
    def devices(self) -> list[DeviceId]:
        """The ids given one by one, in their order, repeats removed; empty for a query."""
        return [DeviceId(device) for device in dict.fromkeys(self.targets.devices or [])]

    @property
    def sha256(self) -> str:
        """Hex digest of everything asked, defaults included."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def to_spec(self) -> CampaignSpec:
        """The specification it means."""
        gate = self.gate.to_gate()
        return CampaignSpec(
            name=self.name,
            package=PackageTarget(name=self.package.name, version=self.package.version),
            targets=self._targets(),
            waves=tuple(wave.to_wave(number, gate) for number, wave in enumerate(self.waves, start=1)),
            deadlines=Deadlines(**self.deadlines.model_dump()),
            allow_downgrade=self.allow_downgrade,
            windows=tuple(window.to_window() for window in self.windows),
        )

    def _targets(self) -> Targets:
        if self.targets.query is not None:
            return DeviceQuery(query=self.targets.query)
        return DeviceList(count=len(self.devices), sha256=digest_devices(self.devices))


def read_campaign_request(body: bytes) -> CampaignRequest:
    """The request in a JSON body.

    Raises:
        InvalidRequest: It is no JSON, or fields are missing, unknown or out of bounds.
    """
    try:
        request = CampaignRequest.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise InvalidRequest("; ".join(_complaint(problem) for problem in error.errors()[:10])) from error
    _check_cover(request.to_spec().waves, len(request.devices))
    return request


def _check_cover(waves: Sequence[WaveSpec], devices: int) -> None:
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


def _complaint(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"]) or "body"
    return f"{field}: {problem['msg'].removeprefix('Value error, ')}"
