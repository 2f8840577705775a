"""Looking for devices that begin to match a dynamic campaign's query, and letting them join.

Twice a write decides: first a page of newcomers and the cursor that says so, then their rows and the campaign that
counts them. What lies between is done again from the page, which nobody writes over, and finds done what is done.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import batched

from shared.domain.audit import SERVICE, AuditEntry
from shared.domain.campaign_specs import digest_devices
from shared.domain.campaigns import Campaign
from shared.domain.errors import DomainError
from shared.domain.hub_queries import queries_among
from shared.domain.ids import CampaignId, DeviceId, shard_of
from shared.domain.joining import cut_newcomers, is_look_due, is_open, join, newcomers_query, note_look
from shared.domain.listings import ListingKind, listings, page_spans, ring_start_of, sort_on_ring
from shared.domain.rates import batch_devices
from shared.domain.steps import Change
from shared.domain.waves import MAX_BATCH_DEVICES
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.claim_devices import count_skipped
from shared.handlers.claimer import Claimer
from shared.handlers.contention import until_written
from shared.handlers.keep_campaign import keep_step
from shared.handlers.listed_hardware import keep_of_page, read_of_page
from shared.handlers.plan_campaign import QUERIES_PER_STEP, list_some
from shared.handlers.unreadable_rows import readable, unless_unreadable
from shared.ports.errors import ConcurrentChange, QuotaExceeded, Throttled
from shared.ports.hub import DeviceDirectory, DevicePage
from shared.ports.stored import Stored

log = logging.getLogger(__name__)

_PAGES_BESIDE_EXCLUSIONS = QUERIES_PER_STEP // 2
"""Where exclusions by query are asked about who was found: an S1 hub takes 20 queries a minute."""


def join_newcomers(ports: CampaignPorts, *, now: datetime) -> int:
    """One page of looking, and one of joining, for each dynamic campaign that is due.

    Returns:
        How many devices joined.

    Raises:
        PortError: A service needed for it is down; doing it again is safe.
    """
    rows = [
        row for row in readable(ports.campaigns.list_unfinished()) if row.newcomers.page is not None or is_open(row)
    ]
    return sum(unless_unreadable(partial(_serve, row.id, ports, now), 0) for row in rows)


def _serve(campaign: CampaignId, ports: CampaignPorts, now: datetime) -> int:
    try:
        _look(ports.campaigns.get(campaign), ports, now)
        return until_written(lambda: _join(campaign, ports, now), what=campaign)
    except ConcurrentChange:
        log.info("%s moves on; its newcomers are looked for again in a minute", campaign)
    except (Throttled, QuotaExceeded) as error:
        log.warning("%s: its newcomers wait: %s", campaign, error)
    except DomainError as error:
        # The hub refuses the query by now, or the row is not what was signed: then its next step wakes people.
        log.warning("%s: nobody joins: %s", campaign, error.message)
    return 0


def _look(stored: Stored[Campaign], ports: CampaignPorts, now: datetime) -> None:
    """List one page, keep the newcomers among it, and the cursor."""
    campaign = stored.value
    if not is_look_due(campaign, now=now):
        return
    ports.specs.check(campaign)
    pages = _PAGES_BESIDE_EXCLUSIONS if campaign.spec.targeting.excluded_queries else QUERIES_PER_STEP
    page = list_some(newcomers_query(campaign), campaign.newcomers.continuation, ports.directory, pages=pages)
    unknown = sort_on_ring(_without_rows(campaign, set(page.items), ports), ring_start_of(campaign))
    new = _without_found(campaign, unknown, ports)
    number = _write_page(campaign, _only(page, new), ports) if new else None
    after = note_look(campaign, continuation=page.continuation, page=number, now=now)
    ports.campaigns.save(Stored(value=after, etag=stored.etag))


def _only(page: DevicePage, devices: Sequence[DeviceId]) -> DevicePage:
    hardware = {device: page.hardware[device] for device in devices if device in page.hardware}
    return replace(page, items=tuple(devices), hardware=hardware)


def _without_rows(campaign: Campaign, found: set[DeviceId], ports: CampaignPorts) -> Iterator[DeviceId]:
    """Those that have no part in the campaign yet and are not excluded by their ids."""
    by_shard: dict[int, list[DeviceId]] = {}
    for device in found - set(_excluded(campaign, ports)):
        by_shard.setdefault(shard_of(device, campaign.shards), []).append(device)
    for shard, devices in by_shard.items():
        for some in batched(sort_on_ring(devices, 0), MAX_BATCH_DEVICES):
            rows = ports.rollouts.read_devices(campaign.id, shard, some)
            yield from (device for device in some if device not in rows)


def _without_found(campaign: Campaign, devices: Sequence[DeviceId], ports: CampaignPorts) -> list[DeviceId]:
    """Those that no query of an exclusion finds."""
    found: set[DeviceId] = set()
    for excluded in campaign.spec.targeting.excluded_queries:
        for query in queries_among(excluded, devices):
            found.update(_list_all(query, ports.directory))
    return [device for device in devices if device not in found]


def _list_all(query: str, directory: DeviceDirectory) -> Iterator[DeviceId]:
    continuation = ""
    while True:
        page = directory.list_page(query, continuation)
        yield from page.items
        if not (continuation := page.continuation):
            return


def _excluded(campaign: Campaign, ports: CampaignPorts) -> Iterator[DeviceId]:
    known = listings(campaign.spec)
    for listing, (start, stop) in zip(known, page_spans(campaign.planning, known), strict=True):
        if listing.kind is ListingKind.EXCLUDED and not listing.query:
            for page in ports.manifests.read_pages(campaign.id, stop, start=start):
                yield from page


def _join(campaign: CampaignId, ports: CampaignPorts, now: datetime) -> int:
    """Make the devices of the waiting page part of the campaign; how many there were."""
    stored = ports.campaigns.get(campaign)
    before = stored.value
    if (number := before.newcomers.page) is None:
        return 0
    [devices] = ports.manifests.read_pages(campaign, number + 1, start=number)
    joined = _with_rows(_with_manifest(before, devices, ports), devices, ports, now)
    ports.audit.append(_entry(before, len(devices), now))
    keep_step(ports, stored, Change(campaign=joined, due_at=now), now=now)
    log.info("%s: %d devices joined", campaign, len(devices))
    return len(devices)


def _with_manifest(campaign: Campaign, devices: Sequence[DeviceId], ports: CampaignPorts) -> Campaign:
    """The campaign over a manifest with the devices at its end, which is the end of its last wave."""
    manifest = ports.manifests.read_manifest(campaign.id, edition=campaign.planning.manifest)
    digest = digest_devices([*manifest, *devices])
    ports.manifests.write_manifest(campaign.id, [*manifest, *devices], edition=digest[:16])
    return replace(campaign, planning=replace(campaign.planning, manifest=digest[:16], manifest_sha256=digest))


def _with_rows(campaign: Campaign, devices: Sequence[DeviceId], ports: CampaignPorts, now: datetime) -> Campaign:
    """The campaign with the devices' batches and rows. The batches come first: who cancels it meanwhile finds them."""
    last = campaign.waves[-1]
    known = ports.manifests.read_batches(campaign.id, last.number)[: last.batches]
    size = batch_devices(campaign.spec.pace, campaign.largest_bytes)
    cut = list(cut_newcomers(campaign, devices, known, size=size))
    ports.manifests.write_batches(campaign.id, last.number, [*known, *(batch for batch, _ in cut)])
    claimer, planning = Claimer(campaign, ports, now), campaign.planning
    listed = read_of_page(campaign, campaign.newcomers.page or 0, ports.manifests)
    for batch, members in cut:
        planning = count_skipped(campaign, planning, claimer.claim_batch(batch, members, listed))
    return join(replace(campaign, planning=planning), len(devices), len(cut))


def _write_page(campaign: Campaign, page: DevicePage, ports: CampaignPorts) -> int:
    """The page's number, which no other look takes: were two to look at once, one would write over the other's."""
    number = campaign.planning.page + secrets.randbelow(2**31)
    keep_of_page(campaign, number, page, ports.manifests)
    ports.manifests.write_page(campaign.id, number, page.items)
    return number


def _entry(campaign: Campaign, devices: int, now: datetime) -> AuditEntry:
    last = campaign.waves[-1]
    return AuditEntry(
        campaign=campaign.id,
        step=campaign.step + 1,
        at=now,
        who=SERVICE,
        what="join",
        before=campaign.state,
        after=campaign.state,
        detail=f"{devices} devices that match now joined wave {last.number} ({last.spec.name})",
    )
