"""What has to be listed before a campaign's targets are known: its targets, those to leave out,
and those that meet the condition of a wave.

Pages of all listings are numbered through in one row: the ids that were posted first, then what queries find.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.campaign_specs import CampaignSpec, DeviceQuery, Targets
from shared.domain.campaigns import Campaign
from shared.domain.hub_queries import narrow_query, query_where
from shared.domain.ids import DeviceId, ring_order, ring_start
from shared.domain.planning import Planning
from shared.domain.targeting import FIXED_START, Canaries
from shared.domain.waves import Matching


class ListingKind(StrEnum):
    """What a listing is for."""

    TARGETS = "targets"
    EXCLUDED = "excluded"
    WAVE = "wave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One list of devices.

    Attributes:
        query: The IoT Hub query that finds them; empty where their ids were posted.
        wave: Number of the wave whose condition they meet; 0 otherwise.
        sha256: Digest over the posted ids; empty for a query.
        count: How many ids were posted.
    """

    kind: ListingKind
    query: str = ""
    wave: int = 0
    sha256: str = ""
    count: int = 0


def listings(spec: CampaignSpec) -> tuple[Listing, ...]:
    """The listings in the order in which their pages are numbered, the posted ones first."""
    targets, targeting = spec.targets, spec.targeting
    found = [
        Listing(kind=ListingKind.TARGETS, query=targets.query)
        if isinstance(targets, DeviceQuery)
        else Listing(kind=ListingKind.TARGETS, sha256=targets.sha256, count=targets.count)
    ]
    if targeting.excluded:
        posted = Listing(kind=ListingKind.EXCLUDED, sha256=targeting.excluded_sha256, count=targeting.excluded)
        found.append(posted)
    found += [Listing(kind=ListingKind.EXCLUDED, query=query) for query in targeting.excluded_queries]
    found += [
        Listing(kind=ListingKind.WAVE, wave=number, query=query_of_filter(targets, wave.size.condition))
        for number, wave in enumerate(spec.waves, start=1)
        if isinstance(wave.size, Matching)
    ]
    return tuple(sorted(found, key=lambda listing: bool(listing.query)))


def query_of_filter(targets: Targets, condition: str) -> str:
    """The query for the targets that meet the condition; for all devices that do where the targets are a list."""
    if isinstance(targets, DeviceQuery):
        return narrow_query(targets.query, condition)
    return query_where(condition)


def page_spans(planning: Planning, known: Sequence[Listing]) -> list[tuple[int, int]]:
    """The first page of each listing and one past its last, once all of them are listed."""
    # Rows written before there was more than one listing do not say where it ended.
    ends = [*planning.ends, planning.page][: len(known)]
    return list(zip([0, *ends], ends, strict=False))


def ring_start_of(campaign: Campaign) -> int:
    """The position from which the campaign reads the ring."""
    return ring_start(campaign.id) if campaign.spec.targeting.canaries is Canaries.ROTATING else FIXED_START


def sort_on_ring(devices: Iterable[DeviceId], start: int) -> list[DeviceId]:
    """The devices in ring order from ``start`` on."""
    return sorted(devices, key=lambda device: ring_order(device, start))
