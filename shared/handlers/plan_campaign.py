"""Planning: list the targets page by page, order them along the ring, cut waves and device batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import batched
from types import MappingProxyType

from shared.domain.campaign_specs import digest_devices
from shared.domain.campaigns import Campaign, CampaignState
from shared.domain.errors import DomainError
from shared.domain.ids import DeviceId
from shared.domain.listings import Listing, ListingKind, listings, page_spans, ring_start_of, sort_on_ring
from shared.domain.planning import Planning, PlanningPhase
from shared.domain.quotas import quota_reason
from shared.domain.rates import batch_devices
from shared.domain.steps import Change, abort
from shared.domain.waves import Wave, assign_waves, cut_batches
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.listed_hardware import keep_of_members, keep_of_page, read_listed
from shared.ports.campaigns import ManifestStore
from shared.ports.errors import QuotaExceeded, Throttled
from shared.ports.hub import DeviceDirectory, DevicePage

CLAIM_BATCHES = 20
"""Batches claimed in one step: at most 60 table calls, seconds."""

QUERIES_PER_STEP = 10
"""A thousand devices in one step, blob and row write: a million take a thousand steps."""

LIST_AGAIN_S = 15.0
"""IoT Hub S1 allows 20 twin queries a minute and unit (quotas and throttling): a throttled listing waits for some."""


def list_page(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with one more page of its targets listed, a page of ours being several of the hub's.

    It is aborted where the hub refuses the query, and paused where the hub's daily quota is used up.
    """
    planning, known = campaign.planning, listings(campaign.spec)
    if len(planning.ends) >= len(known):
        raise TypeError(f"{campaign.id} has nothing to list")
    listing = known[len(planning.ends)]
    try:
        page = list_some(listing.query, planning.continuation, ports.directory)
    except Throttled as error:
        return Change(campaign=campaign, due_at=now + timedelta(seconds=error.retry_after_s or LIST_AGAIN_S))
    except QuotaExceeded:
        return Change(campaign=replace(campaign, state=CampaignState.PAUSED, reason=quota_reason(now)), due_at=now)
    except DomainError as error:
        return Change(campaign=abort(campaign, error.message), due_at=now)
    keep_of_page(campaign, planning.page, page, ports.manifests)
    ports.manifests.write_page(campaign.id, planning.page, page.items)
    return Change(campaign=replace(campaign, planning=_listed(planning, known, page)), due_at=now)


def _listed(planning: Planning, known: Sequence[Listing], page: DevicePage) -> Planning:
    """The cursor after a page: in the same listing, in the next one, or behind all of them."""
    listing, pages = known[len(planning.ends)], planning.page + 1
    found = len(page.items) if listing.kind is ListingKind.TARGETS else 0
    ends = planning.ends if page.continuation else (*planning.ends, pages)
    return replace(
        planning,
        phase=PlanningPhase.LISTING if len(ends) < len(known) else PlanningPhase.ORDERING,
        page=pages,
        ends=ends,
        continuation=page.continuation,
        listed=planning.listed + found,
    )


def order_targets(campaign: Campaign, ports: CampaignPorts, *, now: datetime) -> Change:
    """The campaign with its manifest, waves and device batches; aborted where they cannot be made."""
    try:
        found = _merge(campaign, ports.manifests)
        ordered = sort_on_ring(found.targets, ring_start_of(campaign))
        devices, waves = assign_waves(ordered, campaign.spec.waves, found.matching)
    except DomainError as error:
        return Change(campaign=abort(campaign, error.message), due_at=now)
    ports.manifests.write_manifest(campaign.id, devices)
    known = read_listed(campaign, ports.manifests)
    planned = replace(
        campaign,
        targets=len(devices),
        waves=tuple(
            cut_wave(campaign, ports.manifests, wave, devices[wave.start : wave.stop], known) for wave in waves
        ),
        planning=replace(
            campaign.planning,
            phase=PlanningPhase.CLAIMING,
            continuation="",
            excluded=found.excluded,
            manifest_sha256=digest_devices(devices),
        ),
    )
    return Change(campaign=planned, due_at=now)


def list_some(
    query: str, continuation: str, directory: DeviceDirectory, *, pages: int = QUERIES_PER_STEP
) -> DevicePage:
    """Several of the hub's pages as one.

    Args:
        pages: At most so many.

    Raises:
        DomainError: The hub refuses the query.
        PortError: It cannot answer now, not even once.
    """
    found: list[DeviceId] = []
    hardware: dict[DeviceId, str] = {}
    for queries in range(pages):
        try:
            page = directory.list_page(query, continuation)
        except (Throttled, QuotaExceeded):
            if queries == 0:
                raise
            # What was found is kept; the next step meets the same refusal with empty hands.
            break
        found.extend(page.items)
        hardware.update(page.hardware)
        if not (continuation := page.continuation):
            break
    return DevicePage(items=tuple(found), continuation=continuation, hardware=hardware)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What was listed.

    Attributes:
        targets: Without those excluded.
        excluded: How many of them were.
        matching: Wave number to the devices that meet its condition.
    """

    targets: set[DeviceId]
    excluded: int
    matching: Mapping[int, set[DeviceId]]


def _merge(campaign: Campaign, manifests: ManifestStore) -> _Found:
    known = listings(campaign.spec)
    found: dict[tuple[ListingKind, int], set[DeviceId]] = defaultdict(set)
    for listing, span in zip(known, page_spans(campaign.planning, known), strict=True):
        found[listing.kind, listing.wave].update(_read_listing(campaign, listing, span, manifests))
    targets, excluded = found[ListingKind.TARGETS, 0], found[ListingKind.EXCLUDED, 0]
    if not targets:
        raise DomainError("no device matches the query; nothing to roll out", code="no_targets")
    if targets <= excluded:
        raise DomainError("every target is excluded; nothing to roll out", code="no_targets")
    return _Found(
        targets=targets - excluded,
        excluded=len(targets & excluded),
        matching={wave: devices for (kind, wave), devices in found.items() if kind is ListingKind.WAVE},
    )


def _read_listing(
    campaign: Campaign, listing: Listing, span: tuple[int, int], manifests: ManifestStore
) -> list[DeviceId]:
    pages = manifests.read_pages(campaign.id, span[1], start=span[0])
    devices = [device for page in pages for device in page]
    # Two requests under one key that came at the same moment may have written over each other's list.
    if listing.sha256 and digest_devices(devices) != listing.sha256:
        raise DomainError("the list of devices is not the one that was posted; post the campaign again under a new key")
    return devices


def cut_wave(
    campaign: Campaign,
    manifests: ManifestStore,
    wave: Wave,
    devices: Sequence[DeviceId],
    known: Mapping[DeviceId, str] = MappingProxyType({}),
) -> Wave:
    """The wave with its batches cut and kept; cutting it again replaces them.

    Args:
        known: What devices say they are, for claiming; nobody claims once the first cut is claimed.
    """
    size = batch_devices(campaign.spec.pace, campaign.largest_bytes)
    cut = list(cut_batches(wave.number, devices, campaign.shards, size=size))
    for part, chunk in enumerate(batched(cut, CLAIM_BATCHES)):
        parts = [members for _, members in chunk]
        keep_of_members(campaign, wave.number, part, parts, known, manifests)
        manifests.write_members(campaign.id, wave.number, part, parts)
    manifests.write_batches(campaign.id, wave.number, [batch for batch, _ in cut])
    return replace(wave, batches=len(cut))
