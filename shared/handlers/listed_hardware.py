"""What devices of a campaign with several packages say they are, as the queries that listed them handed it out.

It costs nothing there, and a read of each twin later. It only helps: what the ``devices`` table says comes before it,
and whose hardware is not kept here is asked, as are the devices of lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.domain.campaigns import Campaign
from shared.domain.ids import DeviceId
from shared.domain.listings import ListingKind, listings, page_spans
from shared.ports.campaigns import ManifestStore
from shared.ports.hub import DevicePage

_PAGES = 0
"""In the place of a wave: waves are numbered from 1."""


def keep_of_page(campaign: Campaign, number: int, page: DevicePage, manifests: ManifestStore) -> None:
    """Keep what the devices of a page say they are. Before the page itself: a page that is kept is not listed again."""
    if campaign.other_packages and page.hardware:
        manifests.write_hardware(campaign.id, _PAGES, number, page.hardware)


def read_of_page(campaign: Campaign, number: int, manifests: ManifestStore) -> Mapping[DeviceId, str]:
    """What the devices of a page say they are, as far as it is known."""
    return manifests.read_hardware(campaign.id, _PAGES, number) if campaign.other_packages else {}


def read_listed(campaign: Campaign, manifests: ManifestStore) -> Mapping[DeviceId, str]:
    """The same of all pages that queries found for it."""
    known = listings(campaign.spec)
    spans = zip(known, page_spans(campaign.planning, known), strict=True)
    wanted = (span for listing, span in spans if listing.query and listing.kind is not ListingKind.EXCLUDED)
    found: dict[DeviceId, str] = {}
    for page in (page for start, stop in wanted for page in range(start, stop)):
        found.update(read_of_page(campaign, page, manifests))
    return found


def keep_of_members(
    campaign: Campaign,
    wave: int,
    part: int,
    members: Sequence[Sequence[DeviceId]],
    known: Mapping[DeviceId, str],
    manifests: ManifestStore,
) -> None:
    """Keep what the devices of some of a wave's batches say they are, so that claiming reads no more than it needs."""
    if found := {device: known[device] for devices in members for device in devices if device in known}:
        manifests.write_hardware(campaign.id, wave, part, found)


def read_of_members(campaign: Campaign, wave: int, part: int, manifests: ManifestStore) -> Mapping[DeviceId, str]:
    """What the devices of some of a wave's batches say they are, as far as it is known."""
    return manifests.read_hardware(campaign.id, wave, part) if campaign.other_packages else {}
