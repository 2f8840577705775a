"""What a hub carries by tier and units (IoT Hub quotas and throttling), and the smallest that carries a campaign."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class HubTier(StrEnum):
    """Tiers that have twins."""

    F1 = "F1"
    S1 = "S1"
    S2 = "S2"
    S3 = "S3"


@dataclass(frozen=True, slots=True, kw_only=True)
class TierLimits:
    """What a tier allows.

    Attributes:
        updates_per_hub_s: Twin updates per second, however many units; the larger of this and the units' share holds.
        updates_per_unit_s: Twin updates per second and unit.
        messages_per_unit_day: Messages a day and unit, in steps of 4 KB (0.5 KB on F1).
        max_units: Units a hub may have.
        max_devices: Devices a hub may have.
    """

    updates_per_hub_s: int
    updates_per_unit_s: int
    messages_per_unit_day: int
    max_units: int
    max_devices: int = 1_000_000


TIER_LIMITS: Mapping[HubTier, TierLimits] = {
    HubTier.F1: TierLimits(updates_per_hub_s=50, updates_per_unit_s=0, messages_per_unit_day=8_000, max_units=1),
    HubTier.S1: TierLimits(updates_per_hub_s=50, updates_per_unit_s=0, messages_per_unit_day=400_000, max_units=200),
    HubTier.S2: TierLimits(updates_per_hub_s=50, updates_per_unit_s=5, messages_per_unit_day=6_000_000, max_units=200),
    HubTier.S3: TierLimits(
        updates_per_hub_s=0, updates_per_unit_s=250, messages_per_unit_day=300_000_000, max_units=10
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSize:
    """A hub's tier and units."""

    tier: HubTier
    units: int

    @property
    def twin_updates_per_s(self) -> float:
        """For the service's writes and the devices' reports together."""
        limits = TIER_LIMITS[self.tier]
        return float(max(limits.updates_per_hub_s, limits.updates_per_unit_s * self.units))

    @property
    def messages_per_day(self) -> int:
        """The daily quota."""
        return TIER_LIMITS[self.tier].messages_per_unit_day * self.units


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLoad:
    """What a campaign asks of a hub.

    Attributes:
        devices: Devices the hub has.
        twin_updates: Twin updates in all.
        messages: Metered messages in all.
        quota_share: The part of the daily quota that it may take, 0-1; the rest is for everything else.
    """

    devices: int
    twin_updates: int
    messages: int
    quota_share: float


_DAY_S = 86_400


def seconds_on(hub: HubSize, load: HubLoad) -> float:
    """How long its twin updates take."""
    return load.twin_updates / hub.twin_updates_per_s


def fits(hub: HubSize, load: HubLoad) -> bool:
    """Whether the hub has room for the devices, and for what the campaign takes of its quota on its worst day."""
    busiest_day = load.messages * min(1.0, _DAY_S / max(seconds_on(hub, load), 1.0))
    within_quota = busiest_day <= load.quota_share * hub.messages_per_day
    return load.devices <= TIER_LIMITS[hub.tier].max_devices and within_quota


def smallest_hub(tier: HubTier, load: HubLoad, *, within_s: float = math.inf) -> HubSize | None:
    """The fewest units of the tier that carry the campaign within the time; None where no number of units does."""
    for units in range(1, TIER_LIMITS[tier].max_units + 1):
        hub = HubSize(tier=tier, units=units)
        if fits(hub, load) and seconds_on(hub, load) <= within_s:
            return hub
    return None
