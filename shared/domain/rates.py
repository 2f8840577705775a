"""How fast a campaign of its own will may go: devices a minute, and bytes a second that its devices may fetch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.waves import MAX_BATCH_DEVICES


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantRate:
    """So many devices a minute, come what may."""

    devices_per_minute: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialRate:
    """A rate that grows as devices succeed: by ``factor`` for each ``after_succeeded`` of them, up to the maximum."""

    base_per_minute: float
    factor: float
    after_succeeded: int
    maximum_per_minute: float


type Rate = ConstantRate | ExponentialRate


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What the operator allows, on top of what the hub and the fleet's bandwidth do; None: no bound.

    Attributes:
        bandwidth_bytes_per_s: For the downloads of all its devices together; each is charged the package's length.
    """

    rate: Rate | None = None
    bandwidth_bytes_per_s: int | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether it bounds anything."""
        return self.rate is not None or self.bandwidth_bytes_per_s is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """The last device batch a campaign's own pace let go: all there is to remember of it.

    When the next may go follows from it and the rate at that moment, so that it makes no difference how often somebody
    looks, and a rate that has grown holds at once.
    """

    at: datetime
    devices: int


def per_minute(rate: Rate, succeeded: int) -> float:
    """Devices a minute once so many have succeeded."""
    match rate:
        case ConstantRate(devices_per_minute=devices):
            return devices
        case ExponentialRate() as growing:
            return _grown(growing, succeeded // growing.after_succeeded)


def _grown(rate: ExponentialRate, times: int) -> float:
    if rate.factor <= 1:
        return rate.base_per_minute
    # Without the bound, a factor to the power of the fleet's size is no float any more.
    enough = math.ceil(math.log(rate.maximum_per_minute / rate.base_per_minute, rate.factor))
    return min(rate.base_per_minute * rate.factor ** min(times, enough), rate.maximum_per_minute)


def seconds_per_device(pace: Pace, length_bytes: int, succeeded: int) -> float:
    """How long one device takes at the smaller of rate and bandwidth; 0 where nothing bounds it."""
    by_rate = 60.0 / per_minute(pace.rate, succeeded) if pace.rate else 0.0
    by_bandwidth = length_bytes / pace.bandwidth_bytes_per_s if pace.bandwidth_bytes_per_s else 0.0
    return max(by_rate, by_bandwidth)


def next_free_at(paced: Paced | None, device_s: float) -> datetime | None:
    """From when on the pace lets the next batch go; None: now."""
    return None if paced is None else paced.at + timedelta(seconds=paced.devices * device_s)


def batch_devices(pace: Pace, length_bytes: int) -> int:
    """How many devices a batch may hold, so that no more than a minute's worth goes out at once, 1-99."""
    device_s = seconds_per_device(pace, length_bytes, 0)
    return MAX_BATCH_DEVICES if device_s <= 0 else max(1, min(MAX_BATCH_DEVICES, int(60.0 / device_s)))
