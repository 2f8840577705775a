"""The documented throttles as token buckets, and the daily message quota.

Numbers: IoT Hub developer guide, "quotas and throttling" (the table copied into no other place of this package).
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from emulator.hub.clock import Clock, utc_now
from emulator.hub.config import HubConfig, Throttles, Tier
from emulator.hub.errors import Code, HubError

METER_BYTES = 4096
"""One metered message of a paid tier (IoT Hub developer guide, pricing)."""


class Operation(StrEnum):
    """A line of the throttle table; the words appear in 429 answers."""

    REGISTRY = "CRUD"
    CONNECT = "Connect"
    TELEMETRY = "DeviceToCloudSend"
    COMMAND = "CloudToDeviceSend"
    METHOD = "DirectMethod"
    QUERY = "TwinQuery"
    TWIN_READ = "TwinRead"
    TWIN_UPDATE = "TwinUpdate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """``max(flat, per_unit × units)`` operations in each period."""

    flat: float = 0
    per_unit: float = 0
    period_s: float = 1

    def count(self, units: int) -> float:
        return max(self.flat, self.per_unit * units)


_MINUTE = 60
_SMALL: Mapping[Operation, Rate] = {
    Operation.REGISTRY: Rate(per_unit=100, period_s=_MINUTE),
    Operation.CONNECT: Rate(flat=100, per_unit=12),
    Operation.TELEMETRY: Rate(flat=100, per_unit=12),
    Operation.COMMAND: Rate(per_unit=100, period_s=_MINUTE),
    # 160 KB/s with a 4 KB meter.
    Operation.METHOD: Rate(per_unit=40),
    Operation.QUERY: Rate(per_unit=20, period_s=_MINUTE),
    Operation.TWIN_READ: Rate(flat=100),
    Operation.TWIN_UPDATE: Rate(flat=50),
}
_MEDIUM: Mapping[Operation, Rate] = {
    **_SMALL,
    Operation.CONNECT: Rate(per_unit=120),
    Operation.TELEMETRY: Rate(per_unit=120),
    Operation.METHOD: Rate(per_unit=120),
    Operation.TWIN_READ: Rate(flat=100, per_unit=10),
    Operation.TWIN_UPDATE: Rate(flat=50, per_unit=5),
}
_LARGE: Mapping[Operation, Rate] = {
    Operation.REGISTRY: Rate(per_unit=5000, period_s=_MINUTE),
    Operation.CONNECT: Rate(per_unit=6000),
    Operation.TELEMETRY: Rate(per_unit=6000),
    Operation.COMMAND: Rate(per_unit=5000, period_s=_MINUTE),
    Operation.METHOD: Rate(per_unit=6000),
    Operation.QUERY: Rate(per_unit=1000, period_s=_MINUTE),
    Operation.TWIN_READ: Rate(per_unit=500),
    Operation.TWIN_UPDATE: Rate(per_unit=250),
}
TABLE: Mapping[Tier, Mapping[Operation, Rate]] = {
    Tier.F1: _SMALL,
    Tier.B1: _SMALL,
    Tier.S1: _SMALL,
    Tier.B2: _MEDIUM,
    Tier.S2: _MEDIUM,
    Tier.B3: _LARGE,
    Tier.S3: _LARGE,
}


class Bucket:
    """A token bucket, full at first.

    One call may take more than a full bucket holds (a bulk call of 100 twins where 50 a second are allowed): it is
    let through when the bucket is full, and the bucket owes the rest.
    """

    __slots__ = ("_capacity", "_filled_at_s", "_per_second", "_tokens")

    def __init__(self, *, per_second: float, capacity: float, now_s: float) -> None:
        self._per_second = per_second
        self._capacity = max(capacity, 1.0)
        self._tokens = self._capacity
        self._filled_at_s = now_s

    def take(self, count: int, now_s: float) -> bool:
        """Whether there were enough tokens; none is taken where there were not."""
        elapsed_s = max(now_s - self._filled_at_s, 0)
        self._tokens = min(self._capacity, self._tokens + elapsed_s * self._per_second)
        self._filled_at_s = now_s
        if self._tokens < min(count, self._capacity):
            return False
        self._tokens -= count
        return True


class Throttle:
    """Admits or refuses operations, and counts both.

    Attributes:
        config: whose tier, units and burst are in force.
        daily_messages: the quota; None for none. Changeable at run time.
        admitted, refused: operations since the start.
    """

    def __init__(
        self, config: HubConfig, *, clock: Clock = utc_now, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._monotonic_s = monotonic_s
        self.mode = Throttles(config.throttles)
        self.daily_messages = config.daily_messages
        self.admitted: Counter[Operation] = Counter()
        self.refused: Counter[Operation] = Counter()
        self._metered: tuple[date, int] = (clock().date(), 0)
        self.resize(config)

    def set(self, mode: str) -> None:
        """Enforce (``on``) or only count (``off``)."""
        self.mode = Throttles(mode)

    def resize(self, config: HubConfig) -> None:
        """Take tier, units and burst from ``config``; all buckets start full."""
        self.config = config
        now_s = self._monotonic_s()
        self._buckets = {
            operation: _bucket(rate, config, now_s) for operation, rate in TABLE[Tier(config.tier)].items()
        }

    def admit(self, operation: Operation, count: int = 1) -> None:
        """Let ``count`` operations through.

        Raises:
            HubError: 429001.
        """
        if self.mode is Throttles.ON and not self._buckets[operation].take(count, self._monotonic_s()):
            self.refused[operation] += count
            raise HubError(Code.THROTTLED, f"The request has been throttled. Operation type: {operation}")
        self.admitted[operation] += count

    def meter(self, size_bytes: int = 0, count: int = 1) -> None:
        """Charge messages of this size to the day's quota.

        Raises:
            HubError: 403002.
        """
        used = self.messages_today + count * max(1, math.ceil(size_bytes / METER_BYTES))
        if self.daily_messages is not None and used > self.daily_messages:
            raise HubError(
                Code.QUOTA_EXCEEDED,
                "Total number of messages exceeded the allocated quota (403002). "
                f"Max allowed message count: '{self.daily_messages}', current message count: '{used}'",
            )
        self._metered = (self._metered[0], used)

    def check_quota(self) -> None:
        """Refuse where the day's quota is used up already.

        Raises:
            HubError: 403002.
        """
        if self.daily_messages is not None and self.messages_today >= self.daily_messages:
            self.meter()

    @property
    def messages_today(self) -> int:
        """Metered messages since midnight UTC."""
        today = self._clock().date()
        if self._metered[0] != today:
            self._metered = (today, 0)
        return self._metered[1]


def _bucket(rate: Rate, config: HubConfig, now_s: float) -> Bucket:
    count = rate.count(config.units)
    per_second = count / rate.period_s
    return Bucket(per_second=per_second, capacity=max(count, per_second * config.burst_s), now_s=now_s)
