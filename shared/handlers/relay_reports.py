"""Carrying reports from IoT Hub's twin changes to Event Grid, folded: one event is one table transaction.

The event hub's pointer moves on whatever happens here, so only an outage is raised (the host then tries again);
what cannot be read is parked, and what concerns nobody is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.domain.errors import MalformedMessage
from shared.domain.folding import essential_reports
from shared.domain.ids import CampaignId, DeviceId, ring_position, shard_of
from shared.domain.rollouts import PackageTarget, Report
from shared.handlers.campaign_facts import CampaignFacts, CampaignFactsCache
from shared.ports.bus import EventPublisher, OutgoingEvent, Parking
from shared.ports.errors import UnreadableRow
from shared.ports.hub import TwinReader
from shared.wire.keys import rollout_partition
from shared.wire.reports import ROLLOUT_REPORTED, digest, write_report_batches
from shared.wire.twin_events import RawTwinEvent, read_twin_event
from shared.wire.twins import PROPERTY, is_whole_report, read_mark, read_report

log = logging.getLogger(__name__)

SOURCE = "twin-changes"

MAX_CALL_BYTES = 800_000
"""Event Grid takes 1 MB in one call, envelopes included (Event Grid quotas and limits)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPorts:
    """What the relay needs from outside."""

    facts: CampaignFactsCache
    twins: TwinReader
    publisher: EventPublisher
    parking: Parking


def relay_reports(events: Sequence[RawTwinEvent], ports: RelayPorts) -> int:
    """Publish what the events report.

    Returns:
        How many reports were published.

    Raises:
        PortError: A service needed for it is down; relaying all events again is safe.
    """
    reports = list(_read_reports(events, ports))
    outgoing: list[OutgoingEvent] = []
    published = 0
    for campaign, group in _by_campaign(reports).items():
        try:
            facts = ports.facts.find(campaign)
        except UnreadableRow as error:
            # Raised, it would hold back all others' reports. The twins keep these for the newer version's sweep.
            log.warning("%d reports for %s are left to the sweep: %s", len(group), campaign, error)
            continue
        if facts is None:
            # Anybody's device may name any campaign, so these are counted and not kept.
            log.warning("%d reports for the unknown campaign %s are ignored", len(group), campaign)
            continue
        for shard, members in _by_shard(group, facts).items():
            outgoing += _events(campaign, shard, members)
            published += len(members)
    for part in _calls(outgoing):
        ports.publisher.publish(part)
    return published


def _calls(events: Iterable[OutgoingEvent]) -> Iterator[list[OutgoingEvent]]:
    """The events in as few calls as their size allows."""
    part: list[OutgoingEvent] = []
    size_bytes = 0
    for event in events:
        if part and size_bytes + len(event.data) > MAX_CALL_BYTES:
            yield part
            part, size_bytes = [], 0
        part.append(event)
        size_bytes += len(event.data)
    if part:
        yield part


def _read_reports(events: Iterable[RawTwinEvent], ports: RelayPorts) -> Iterator[Report]:
    twins: dict[DeviceId, Report | None] = {}
    for raw in events:
        try:
            event = read_twin_event(raw)
            if not event.tells_update:
                continue
            if is_whole_report(event.reported[PROPERTY]):
                yield _report(event.device, event.reported)
            elif event.device not in twins:
                # The hub merged changes or cut the event: the twin itself has them all, once is enough.
                twins[event.device] = _read_twin(event.device, ports.twins)
        except MalformedMessage as error:
            ports.parking.park(source=SOURCE, body=raw.body, code=error.code, reason=error.message)
    yield from (report for report in twins.values() if report is not None)


def _read_twin(device: DeviceId, twins: TwinReader) -> Report | None:
    reported = twins.read_reported(device)
    if reported is None or not is_whole_report(reported.get(PROPERTY)):
        return None
    return _report(device, reported)


def _report(device: DeviceId, reported: Mapping[str, object]) -> Report:
    document = reported[PROPERTY]
    if not isinstance(document, Mapping):
        raise MalformedMessage(f"the report of {device} is no object")
    return read_report(device, document, read_mark(reported))


def _by_campaign(reports: Iterable[Report]) -> dict[CampaignId, list[Report]]:
    groups: dict[CampaignId, list[Report]] = {}
    for report in reports:
        groups.setdefault(report.campaign, []).append(report)
    return groups


def _by_shard(reports: Iterable[Report], facts: CampaignFacts) -> dict[int, list[Report]]:
    """The essential reports of each shard in ring order, so that rows read together stand together."""
    claims: dict[tuple[DeviceId, int, int], list[Report]] = {}
    for report in reports:
        claims.setdefault((report.device, report.attempt, report.sequence), []).append(report)
    shards: dict[int, list[Report]] = {}
    for (device, _, _), told in claims.items():
        shard = shards.setdefault(shard_of(device, facts.shards), [])
        shard += [_trimmed(report, facts.targets) for report in _essential(told, facts.targets)]
    for members in shards.values():
        members.sort(key=lambda report: (ring_position(report.device), report.device, report.mark))
    return shards


def _essential(told: Sequence[Report], targets: Sequence[PackageTarget]) -> list[Report]:
    """Which of the packages is the device's, only its row says: what is essential for any of them is kept."""
    kept = {report.mark: report for target in targets for report in essential_reports(told, target)}
    return [kept[mark] for mark in sorted(kept)]


def _trimmed(report: Report, targets: Sequence[PackageTarget]) -> Report:
    """The report with the versions its campaign asks about: a twin may list hundreds."""
    names = {target.name for target in targets}
    return replace(report, installed={name: version for name, version in report.installed.items() if name in names})


def _events(campaign: CampaignId, shard: int, reports: Sequence[Report]) -> Iterator[OutgoingEvent]:
    subject = rollout_partition(campaign, shard)
    for data in write_report_batches(campaign, shard, reports):
        yield OutgoingEvent(type=ROLLOUT_REPORTED, subject=subject, data=data, id=f"{subject}:{digest(data)}")
