"""Dry runs of one campaign over fleets of several sizes, each on the smallest hub that carries it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared.adapters.azure_directory import PAGE_DEVICES
from shared.domain.forecast import BUS_OPERATIONS_PER_MESSAGE, HUB_MESSAGES_PER_DEVICE, Forecast, HubRoom
from shared.domain.hub_sizes import HubLoad, HubSize, HubTier, seconds_on, smallest_hub
from shared.domain.ids import CampaignId, OperationId, package_name
from shared.domain.operations import Operation
from shared.domain.outlook import look_ahead, room_of
from shared.domain.pacing import CHARGE_PER_DEVICE, LONG_AGO, Budget
from shared.domain.packages import Package, PackageKind
from shared.domain.prices import Cost, PriceTable, reckon
from shared.domain.versions import Version
from shared.handlers.create_campaign import new_campaign
from shared.wire.http_campaigns import read_campaign_request

FLEETS = (1_000, 10_000, 100_000, 1_000_000)
PACKAGES_MB = (1, 20, 200)
TIERS = (HubTier.S1, HubTier.S2, HubTier.S3)
NIGHT_S = 8 * 3600
QUOTA_SHARE = 0.5
"""The other half of the hub's messages is for what the fleet has to say beside updates."""

BUS_CREDITS_PER_S = 1_000
"""What a Standard namespace takes: send, receive and settle are one each (Service Bus throttling)."""

CAMPAIGN = {
    "name": "sizing",
    "package": {"name": "firmware", "version": "2.0.0"},
    "targets": {"query": "SELECT deviceId FROM devices"},
    "waves": [{"percent": 1}, {"percent": 10}, {"rest": True}],
}
_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A fleet, a package and a hub, and what the dry run says of them."""

    devices: int
    package_mb: int
    hub: HubSize
    ahead: Forecast
    cost: Cost

    @property
    def bus_share(self) -> float:
        """What it takes of what a Standard namespace lets through meanwhile, 0-1."""
        operations = self.ahead.usage.queue_messages * BUS_OPERATIONS_PER_MESSAGE
        return operations / (self.ahead.duration_s * BUS_CREDITS_PER_S)


def hubs_for(devices: int) -> Iterator[HubSize]:
    """The smallest hub that carries the fleet; where its offers take longer than a night, one that needs only a night.

    The smaller tiers come first: they cost less, and where a tier's price is not known that cannot be reckoned.
    """
    load = HubLoad(
        devices=devices,
        twin_updates=devices * CHARGE_PER_DEVICE,
        messages=devices * HUB_MESSAGES_PER_DEVICE,
        quota_share=QUOTA_SHARE,
    )
    first = next(hub for tier in TIERS if (hub := smallest_hub(tier, load)))
    yield first
    if seconds_on(first, load) > NIGHT_S:
        in_a_night = [hub for tier in TIERS if (hub := smallest_hub(tier, load, within_s=NIGHT_S))]
        yield min(in_a_night, key=lambda hub: hub.units)


def plan(devices: int, package_mb: int, hub: HubSize, prices: PriceTable) -> Size:
    """The dry run of the campaign over all devices, with nothing else on the hub."""
    facts = look_ahead(_operation(devices, package_mb * 10**6), _room(hub), now=_MONDAY)
    if facts is None:
        raise ValueError(f"nothing is known of {devices} devices")
    cost = reckon(facts.forecast.usage.by_meter(), prices)
    return Size(devices=devices, package_mb=package_mb, hub=hub, ahead=facts.forecast, cost=cost)


def _room(hub: HubSize) -> HubRoom:
    rate = hub.twin_updates_per_s
    budget = Budget(rate_per_s=rate, ceiling_per_s=rate, next_free_at=LONG_AGO, adjusted_at=LONG_AGO)
    return room_of(budget, messages_per_day=hub.messages_per_day, now=_MONDAY)


def _operation(devices: int, package_bytes: int) -> Operation:
    """The operation that posting the campaign as a dry run makes, once all its targets are listed."""
    package = Package(
        name=package_name("firmware"),
        version=Version("2.0.0"),
        kind=PackageKind.FIRMWARE,
        length_bytes=package_bytes,
        sha256="0" * 64,
        created=_MONDAY,
        compatibility={},
    )
    request = read_campaign_request(json.dumps(CAMPAIGN).encode())
    draft = new_campaign(CampaignId("0" * 32), request, (package,), "nobody", 1, _MONDAY)
    planning = replace(draft.planning, listed=devices, page=math.ceil(devices / PAGE_DEVICES))
    return Operation(
        id=OperationId(draft.id),
        draft=replace(draft, planning=planning),
        step_due_at=_MONDAY,
        created_at=_MONDAY,
        changed_at=_MONDAY,
    )
