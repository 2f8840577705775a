"""Device ids that came with a campaign: kept in the manifest store, because they outgrow a table row."""

from __future__ import annotations

from itertools import batched

from shared.domain.campaign_specs import CampaignSpec
from shared.domain.campaigns import Campaign
from shared.domain.listings import ListingKind, listings
from shared.domain.planning import Planning, PlanningPhase
from shared.ports.campaigns import ManifestStore
from shared.wire.http_campaigns import CampaignRequest

PAGE_DEVICES = 5_000


def first_planning(spec: CampaignSpec) -> Planning:
    """Where planning begins: behind the pages of what was posted."""
    known = listings(spec)
    ends: list[int] = []
    for listing in known:
        if not listing.query:
            ends.append((ends[-1] if ends else 0) - (-listing.count // PAGE_DEVICES))
    return Planning(
        phase=PlanningPhase.LISTING if len(ends) < len(known) else PlanningPhase.ORDERING,
        page=ends[-1] if ends else 0,
        ends=tuple(ends),
        listed=sum(listing.count for listing in known if listing.kind is ListingKind.TARGETS),
    )


def keep_posted(manifests: ManifestStore, campaign: Campaign, request: CampaignRequest) -> None:
    """Write the pages of all ids that were posted; writing them again replaces them."""
    posted = [
        *batched(request.devices, PAGE_DEVICES),
        *batched(request.targets.excluded_devices, PAGE_DEVICES),
    ]
    for page, devices in enumerate(posted):
        manifests.write_page(campaign.id, page, devices)
