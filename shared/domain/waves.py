"""Waves: how the targets of a campaign are cut into ordered parts, and the parts into device batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from itertools import islice

from shared.domain.errors import DomainError
from shared.domain.gates import Counters, Gate
from shared.domain.ids import DeviceId, shard_of
from shared.domain.verdicts import Verdict

MAX_BATCH_DEVICES = 99
"""With the counters row they fill one table transaction of 100 entities (Table storage, entity group transactions)."""


class WaveState(StrEnum):
    """Where a wave is."""

    PENDING = "pending"
    DISPATCHING = "dispatching"
    RUNNING = "running"
    SOAKING = "soaking"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


WAVE_TRANSITIONS: Mapping[WaveState, frozenset[WaveState]] = {
    WaveState.PENDING: frozenset({WaveState.DISPATCHING, WaveState.SKIPPED}),
    WaveState.DISPATCHING: frozenset({WaveState.RUNNING, WaveState.FAILED, WaveState.SKIPPED}),
    WaveState.RUNNING: frozenset(
        {WaveState.DISPATCHING, WaveState.SOAKING, WaveState.PASSED, WaveState.FAILED, WaveState.SKIPPED}
    ),
    WaveState.SOAKING: frozenset(
        {WaveState.DISPATCHING, WaveState.RUNNING, WaveState.PASSED, WaveState.FAILED, WaveState.SKIPPED}
    ),
    WaveState.PASSED: frozenset({WaveState.FAILED}),
    WaveState.FAILED: frozenset({WaveState.DISPATCHING, WaveState.SKIPPED}),
    WaveState.SKIPPED: frozenset(),
}
"""A paused or stopped wave is dispatched again when its campaign goes on; one that had passed may fail late."""

DONE_WAVES = frozenset({WaveState.PASSED, WaveState.SKIPPED})
"""The states behind which the next wave may start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCount:
    """A wave of this many devices, or what is left."""

    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent:
    """A wave of this share of the targets that no wave's condition takes, rounded up, or what is left of them."""

    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A wave of all targets that earlier waves left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """A wave of all targets that meet a condition and that no earlier wave's condition took.

    Attributes:
        condition: What may stand behind ``WHERE`` in an IoT Hub query, such as ``tags.ring = 'canary'``.
    """

    condition: str


type WaveSize = DeviceCount | Percent | Rest | Matching


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSpec:
    """A wave as the operator asked for it."""

    name: str
    size: WaveSize
    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A wave of a planned campaign.

    Attributes:
        number: From 1, in order.
        start: First target in the manifest.
        stop: One past the last target in the manifest.
        batches: How many device batches it is cut into.
        dispatched: How many of them have been put on the queue.
        soak_until: When a soaking wave passes, if nothing fails until then.
        acknowledged: What an operator accepted when resuming after the gate had stopped; the gate counts it no more.
        verdict: The latest verdict that moved it, with all its numbers.
        reason: Why it is in its state: the gate's sentence, or what an operator did.
    """

    number: int
    spec: WaveSpec
    start: int
    stop: int
    batches: int = 0
    dispatched: int = 0
    state: WaveState = WaveState.PENDING
    started_at: datetime | None = None
    soak_until: datetime | None = None
    ended_at: datetime | None = None
    acknowledged: Counters = field(default_factory=Counters)
    verdict: Verdict | None = None
    reason: str = ""

    @property
    def devices(self) -> int:
        """How many targets it has."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBatch:
    """At most 99 devices of one wave and shard, contiguous on the ring: the unit of one queue message.

    Attributes:
        number: Within wave and shard, from 0.
        first: The batch's first device in manifest order.
        last: Its last device in manifest order.
    """

    wave: int
    shard: int
    number: int
    first: DeviceId
    last: DeviceId
    count: int


def slice_waves(
    total: int, specs: Sequence[WaveSpec], matching: Mapping[int, int] | None = None, *, shared: int | None = None
) -> list[Wave]:
    """The waves over ``total`` targets: slices of the manifest that leave out none and share none.

    Args:
        matching: Wave number to how many targets its condition takes; the other waves share what is left.
        shared: What shares are of; default: what is left.

    Raises:
        DomainError: The waves leave targets over.
    """
    taken = matching or {}
    waves: list[Wave] = []
    start, left = 0, total - sum(taken.values())
    shared = left if shared is None else shared
    for number, spec in enumerate(specs, start=1):
        size = taken.get(number, 0)
        if not isinstance(spec.size, Matching):
            size = min(left, _size(spec.size, shared, left))
            left -= size
        waves.append(Wave(number=number, spec=spec, start=start, stop=start + size))
        start += size
    if left:
        raise DomainError(
            f"the waves hold {start} of {total} targets; end with a wave of the rest", code="waves_leave_devices"
        )
    return waves


def assign_waves(
    devices: Sequence[DeviceId],
    specs: Sequence[WaveSpec],
    matching: Mapping[int, Set[DeviceId]],
    *,
    shared: int | None = None,
    behind: int = 0,
) -> tuple[list[DeviceId], list[Wave]]:
    """The manifest, wave after wave and each wave in the order of ``devices``, and the waves that are its slices.

    A target goes to the first wave whose condition it meets; the waves without one share those that meet none.

    Args:
        matching: Wave number to the devices that meet its condition.
        shared: What shares are of; default: the devices that meet no condition.
        behind: How many waves of the campaign come before these.

    Raises:
        DomainError: The waves leave targets over, or a condition takes no target: a canary that is nobody would pass.
    """
    taken: dict[int, list[DeviceId]] = {number: [] for number in sorted(matching)}
    others: list[DeviceId] = []
    for device in devices:
        first = next((number for number in taken if device in matching[number]), None)
        (others if first is None else taken[first]).append(device)
    _check_conditions(specs, taken, behind)
    waves = slice_waves(len(devices), specs, {number: len(members) for number, members in taken.items()}, shared=shared)
    rest = iter(others)
    manifest = [
        device
        for wave in waves
        for device in (taken[wave.number] if wave.number in taken else islice(rest, wave.devices))
    ]
    return manifest, waves


def _check_conditions(specs: Sequence[WaveSpec], taken: Mapping[int, Sequence[DeviceId]], behind: int) -> None:
    for number, members in taken.items():
        if not members:
            spec = specs[number - 1]
            condition = spec.size.condition if isinstance(spec.size, Matching) else ""
            raise DomainError(
                f"no target is left for wave {behind + number} ({spec.name}) that meets {condition}",
                code="wave_without_devices",
            )


def cut_batches(
    wave: int, devices: Sequence[DeviceId], shards: int, *, size: int = MAX_BATCH_DEVICES
) -> Iterator[tuple[DeviceBatch, list[DeviceId]]]:
    """The device batches of a wave, each with its devices, from the wave's slice of the manifest.

    Args:
        size: The most devices of a batch, 1-99.
    """
    for shard in range(shards):
        members = [device for device in devices if shard_of(device, shards) == shard]
        for number, offset in enumerate(range(0, len(members), size)):
            chunk = members[offset : offset + size]
            yield (
                DeviceBatch(wave=wave, shard=shard, number=number, first=chunk[0], last=chunk[-1], count=len(chunk)),
                chunk,
            )


def _size(size: DeviceCount | Percent | Rest, total: int, left: int) -> int:
    match size:
        case DeviceCount(devices=devices):
            return devices
        case Percent(percent=percent):
            # As it is written: 8.8 % of 375 is 33, and not the hair more that binary fractions make of it.
            return math.ceil(total * Fraction(str(percent)) / 100)
        case Rest():
            return left
