"""The service: every handler with its ports, built once per process when the first event comes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from securesystemslib.signer import Signer

from shared.domain.errors import DomainError, MalformedMessage
from shared.domain.ids import CampaignId
from shared.domain.steps_by_operators import OperatorAction
from shared.handlers.act_on_campaign import act_on_campaign
from shared.handlers.advance_campaign import advance_campaign
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.create_campaign import create_campaign
from shared.handlers.dispatch_batch import dispatch_batch
from shared.handlers.exchange_ticket import Exchange, TicketDesk
from shared.handlers.fold_reports import FoldPorts, fold_backlog, fold_reports
from shared.handlers.index_requests import resume_publishing
from shared.handlers.index_writing import IndexWriter
from shared.handlers.ingest_package import PackageIntake
from shared.handlers.known_authorities import KnownAuthorities
from shared.handlers.note_lifecycle import LifecyclePorts, note_lifecycle
from shared.handlers.offer_batch import DispatchPorts
from shared.handlers.publish_index import IndexPublisher
from shared.handlers.reconcile import ReconcilePorts, reconcile
from shared.handlers.refresh_index import refresh_index
from shared.handlers.relay_reports import RelayPorts, relay_reports
from shared.handlers.resume_campaigns import resume_campaigns
from shared.handlers.serve_repository import MetadataFile, serve_repository
from shared.handlers.show_campaigns import list_campaigns, show_campaign, view_of
from shared.handlers.sign_offers import OfferKeys
from shared.handlers.sweep_incoming import IncomingSweep
from shared.handlers.visit_batch import VisitPorts, visit_batch
from shared.ports.bus import MessageSender, Parking
from shared.ports.errors import PortError
from shared.settings import Settings, read_settings
from shared.trust.index import TIMESTAMP_FILE
from shared.trust.policy_file import read_trust_policy
from shared.trust.signers import KeyRole
from shared.wire.http_campaign_views import CampaignPage, CampaignView
from shared.wire.http_campaigns import CampaignRequest
from shared.wire.messages import BatchVisit, BatchWork, CampaignStep, IndexRequest
from shared.wire.reports import read_report_batch
from shared.wire.twin_events import RawTwinEvent, read_lifecycle
from shared.wiring.adapters import Adapters
from shared.wiring.once import once
from shared.wiring.run_all import run_all

log = logging.getLogger(__name__)

TRUST_POLICY = Path(__file__).parents[2] / "trust.toml"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Service:
    """What the triggers call. Everything it needs is made when it is first needed."""

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._settings = settings
        self._clock = clock
        self._adapters = Adapters(settings)

    @property
    def parking(self) -> Parking:
        """Where messages go that nobody can read."""
        return self._adapters.parking

    @property
    def sender(self) -> MessageSender:
        """The queues, sending side."""
        return self._adapters.sender

    @property
    def clock(self) -> Callable[[], datetime]:
        """The clock."""
        return self._clock

    # Artifacts and the index

    def ingest(self, blob_name: str) -> None:
        """Take in, or quarantine, an artifact."""
        intake = self._intake.ingest_package(blob_name, now=self._clock())
        log.info("%s: %s %s", blob_name, intake.outcome, intake.code)

    def publish(self, requests: Sequence[IndexRequest]) -> None:
        """Put packages into the index."""
        publisher = IndexPublisher(
            packages=self._adapters.packages, writer=self._index_writer, events=self._adapters.events
        )
        publisher.publish(requests, now=self._clock())

    def refresh_index(self) -> None:
        """Sign the index anew before it expires."""
        refresh_index(self._index_writer, now=self._clock())

    def serve_repository(self, name: str) -> MetadataFile:
        """One metadata file of the index."""
        return serve_repository(name, self._adapters.index)

    def exchange_ticket(self, path: str, ticket: str) -> Exchange:
        """A device's ticket for a URL."""
        return self._ticket_desk.exchange_ticket(path, ticket, now=self._clock())

    # Campaigns

    def create_campaign(
        self, request: CampaignRequest, *, idempotency_key: str | None, requested_by: str
    ) -> CampaignView:
        """A new campaign, or the one the same request made before."""
        campaign = create_campaign(
            request,
            self._campaign_ports,
            idempotency_key=idempotency_key,
            requested_by=requested_by,
            shards=self._settings.shards,
            now=self._clock(),
        )
        return view_of(campaign, self._adapters.rollouts)

    def list_campaigns(self, *, size: int, continuation: str) -> CampaignPage:
        """One page of campaigns."""
        return list_campaigns(self._adapters.campaigns, size=size, continuation=continuation)

    def show_campaign(self, campaign: CampaignId) -> CampaignView:
        """A campaign with its waves and counters."""
        return show_campaign(campaign, self._adapters.campaigns, self._adapters.rollouts)

    def act_on_campaign(self, campaign: CampaignId, action: OperatorAction, *, who: str) -> CampaignView:
        """The campaign after an operator's action."""
        after = act_on_campaign(campaign, action, self._campaign_ports, now=self._clock(), who=who)
        return view_of(after, self._adapters.rollouts)

    def advance(self, step: CampaignStep) -> None:
        """Take a campaign's next step."""
        advance_campaign(step, self._campaign_ports, now=self._clock())

    # Device batches and reports

    def dispatch(self, work: BatchWork) -> None:
        """Write the twins of a device batch."""
        dispatch_batch(work, self._dispatch_ports, now=self._clock())

    def visit(self, visit: BatchVisit) -> None:
        """Time out and settle a device batch."""
        visit_batch(visit, self._visit_ports, now=self._clock())

    def relay(self, events: Iterable[RawTwinEvent]) -> None:
        """Carry twin changes over to Event Grid."""
        relay_reports(list(events), self._relay_ports)

    def fold(self, data: bytes) -> None:
        """Fold the reports of one event; an event that nobody can read is parked."""
        try:
            fold_reports(read_report_batch(data), self._fold_ports)
        except MalformedMessage as error:
            self.parking.park(source="reports", body=data, code=error.code, reason=error.message)

    def fold_backlog(self, data: bytes) -> None:
        """Fold reports that met too many others at one row."""
        fold_backlog(read_report_batch(data), self._fold_ports)

    def note_lifecycle(self, event_type: str, data: Mapping[str, Any]) -> None:
        """Note that a device was created or deleted; an event that nobody can read is parked."""
        try:
            event = read_lifecycle(event_type, data)
        except MalformedMessage as error:
            body = json.dumps({"type": event_type, "data": data}).encode()
            self.parking.park(source="device-lifecycle", body=body, code=error.code, reason=error.message)
            return
        note_lifecycle(event, self._lifecycle_ports, now=self._clock())

    # Sweeps

    def resume(self) -> None:
        """Take up overdue steps and index requests."""
        now = self._clock()
        run_all(
            lambda: resume_campaigns(self._adapters.campaigns, self._adapters.sender, now=now),
            lambda: resume_publishing(self._adapters.packages, self._adapters.sender, now=now),
        )

    def reconcile(self) -> None:
        """Take up artifacts nobody looked at and rows whose reports never came."""
        run_all(self._sweep_incoming, self._reconcile_rows)

    def _sweep_incoming(self) -> None:
        sweep = IncomingSweep(
            intake=self._intake, crash_reports=self._adapters.crash_reports, parking=self._adapters.parking
        )
        sweep.sweep_incoming(now=self._clock())

    def _reconcile_rows(self) -> None:
        ports = ReconcilePorts(
            campaigns=self._adapters.campaigns, twins=self._adapters.twin_reader, fold=self._fold_ports
        )
        reconcile(ports, now=self._clock(), quiet_s=self._settings.reconcile_quiet.total_seconds())

    def find_outages(self) -> dict[str, str]:
        """What does not answer now: name to reason, empty when all is well."""
        checks: dict[str, Callable[[], object]] = {
            "index": lambda: self._adapters.index.read(TIMESTAMP_FILE),
            "tables": lambda: self._adapters.packages.list_page(size=1),
            "keys": self._intent_signer,
        }
        return {name: complaint for name, check in checks.items() if (complaint := _complaint(check))}

    # Ports of the handlers

    @once
    def _intake(self) -> PackageIntake:
        adapters = self._adapters
        return PackageIntake(
            store=adapters.artifacts,
            packages=adapters.packages,
            sender=adapters.sender,
            authorities=self._authorities.get,
        )

    @once
    def _index_writer(self) -> IndexWriter:
        settings = self._settings
        policy = read_trust_policy(Path(settings.trust_policy_file or TRUST_POLICY).read_bytes())
        root = Path(settings.root_file).read_bytes()
        return IndexWriter(store=self._adapters.index, keys=self._adapters.keys, expiries=policy.expiries, root=root)

    @once
    def _authorities(self) -> KnownAuthorities:
        return KnownAuthorities(self._index_writer)

    def _intent_signer(self) -> Signer:
        return self._adapters.keys.signer(KeyRole.INTENTS, self._authorities.get().intent_keys)

    @once
    def _ticket_desk(self) -> TicketDesk:
        return TicketDesk(
            keys=self._settings.ticket_keys,
            campaigns=self._adapters.campaigns,
            rollouts=self._adapters.rollouts,
            links=self._adapters.links,
            link_lifetime=self._settings.link_lifetime,
        )

    @once
    def _campaign_ports(self) -> CampaignPorts:
        adapters = self._adapters
        return CampaignPorts(
            campaigns=adapters.campaigns,
            manifests=adapters.manifests,
            budget=adapters.budget,
            audit=adapters.audit,
            rollouts=adapters.rollouts,
            devices=adapters.devices,
            packages=adapters.packages,
            directory=adapters.directory,
            sender=adapters.sender,
            publisher=adapters.events,
        )

    @once
    def _dispatch_ports(self) -> DispatchPorts:
        adapters = self._adapters
        return DispatchPorts(
            campaigns=adapters.campaigns,
            rollouts=adapters.rollouts,
            twins=adapters.twins,
            budget=adapters.budget,
            sender=adapters.sender,
            keys=OfferKeys(intents=self._intent_signer, tickets=self._settings.ticket_keys),
        )

    @once
    def _visit_ports(self) -> VisitPorts:
        adapters = self._adapters
        return VisitPorts(
            facts=adapters.facts, rollouts=adapters.rollouts, devices=adapters.devices, sender=adapters.sender
        )

    @once
    def _relay_ports(self) -> RelayPorts:
        adapters = self._adapters
        return RelayPorts(
            facts=adapters.facts, twins=adapters.twin_reader, publisher=adapters.reports, parking=adapters.parking
        )

    @once
    def _fold_ports(self) -> FoldPorts:
        adapters = self._adapters
        return FoldPorts(facts=adapters.facts, rollouts=adapters.rollouts, sender=adapters.sender)

    @once
    def _lifecycle_ports(self) -> LifecyclePorts:
        adapters = self._adapters
        return LifecyclePorts(
            facts=adapters.facts,
            rollouts=adapters.rollouts,
            devices=adapters.devices,
            twins=adapters.twin_reader,
            sender=adapters.sender,
        )


def _complaint(check: Callable[[], object]) -> str:
    try:
        check()
    except (PortError, DomainError) as error:
        log.warning("unhealthy: %s", error)
        return type(error).__name__
    return ""


_service: Service | None = None
_building = Lock()


def service() -> Service:
    """The process's service.

    Raises:
        SettingsError: Settings are missing or wrong; the next call looks again.
    """
    global _service  # noqa: PLW0603 - one per process, built when the first event comes
    with _building:
        if _service is None:
            _service = Service(read_settings(os.environ))
        return _service
