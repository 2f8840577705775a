"""The service: every handler with its ports."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shared.domain.errors import MalformedMessage, NewerMessage
from shared.domain.groups import GroupName
from shared.domain.ids import CampaignId, OperationId
from shared.domain.packages import RegisteredPackage
from shared.domain.roles import KEY_HOLDER, Caller
from shared.domain.steps_by_operators import OperatorAction
from shared.handlers.act_on_campaign import act_on_campaign
from shared.handlers.advance_campaign import advance_campaign
from shared.handlers.archive_campaigns import ArchivePorts, archive_campaigns
from shared.handlers.close_membership import close_membership
from shared.handlers.create_campaign import create_campaign
from shared.handlers.dispatch_batch import dispatch_batch
from shared.handlers.dry_run import (
    advance_operation,
    get_stored_operation,
    is_answered_at_once,
    resume_operations,
    start_dry_run,
)
from shared.handlers.edit_waves import edit_waves
from shared.handlers.exchange_ticket import Exchange
from shared.handlers.failure_logs import LogDesk
from shared.handlers.fold_reports import fold_backlog, fold_reports
from shared.handlers.forget_operations import forget_operations
from shared.handlers.index_requests import resume_publishing
from shared.handlers.join_newcomers import join_newcomers
from shared.handlers.keep_groups import delete_group, get_group, put_group
from shared.handlers.note_lifecycle import note_lifecycle
from shared.handlers.pause_campaign import pause_campaigns_of
from shared.handlers.publish_index import IndexPublisher
from shared.handlers.reconcile import ReconcilePorts, reconcile
from shared.handlers.reconsider_passed import reconsider_passed
from shared.handlers.relay_reports import relay_reports
from shared.handlers.resume_campaigns import resume_campaigns
from shared.handlers.serve_repository import MetadataFile, serve_repository
from shared.handlers.show_audit import show_audit
from shared.handlers.show_campaigns import ViewPorts, list_campaigns, show_campaign, view_of
from shared.handlers.show_dry_runs import show_existing
from shared.handlers.stop_fleet import release_fleet, stop_fleet
from shared.handlers.sweep_incoming import IncomingSweep
from shared.handlers.visit_batch import visit_batch
from shared.handlers.watch_index import watch_index
from shared.handlers.withdraw_package import get_package, withdraw_package
from shared.ports.bus import MessageSender, Parking
from shared.ports.errors import Unavailable
from shared.ports.replay import REPORTS
from shared.settings import Settings
from shared.telemetry.execution import about
from shared.telemetry.signals import Signal, emit
from shared.wire.http_actions import ActionRequest
from shared.wire.http_approvals import refuse_approval
from shared.wire.http_audit import AuditPage
from shared.wire.http_campaign_views import CampaignPage, CampaignView
from shared.wire.http_campaigns import CampaignRequest
from shared.wire.http_dry_runs import ExistingView, ForecastView, OperationView
from shared.wire.http_groups import GroupPage, GroupRequest, GroupView, view_group
from shared.wire.http_packages import PackagePage, PackageView, view_package
from shared.wire.http_stops import StopView, view_stop
from shared.wire.http_wave_edits import WavesRequest
from shared.wire.messages import BatchVisit, BatchWork, CampaignStep, IndexRequest, OperationStep
from shared.wire.reports import read_report_batch
from shared.wire.twin_events import RawTwinEvent, read_lifecycle
from shared.wiring.adapters import Adapters
from shared.wiring.handler_ports import HandlerPorts
from shared.wiring.outages import OutageWatch
from shared.wiring.run_all import run_all
from shared.wiring.telling import tell_lag, tell_subject_of

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


class Service:
    """What the triggers call. Everything it needs is made when it is first needed."""

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._settings = settings
        self._clock = clock
        self._adapters = Adapters(settings)
        self._ports = HandlerPorts(settings, self._adapters)
        self._outages = OutageWatch(self._ports.outage_checks, clock)

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

    def identify(self, authorization: str) -> Caller:
        """Who asks, by the header ``Authorization``; the holder of a function key where the host asks for keys."""
        desk = self._ports.token_desk
        return KEY_HOLDER if desk is None else desk.identify(authorization, now=self._clock())

    @property
    def _view_ports(self) -> ViewPorts:
        adapters = self._adapters
        return ViewPorts(
            campaigns=adapters.campaigns,
            rollouts=adapters.rollouts,
            stops=adapters.stops,
            budget=adapters.budget,
            packages=adapters.packages,
            clock=self._clock,
        )

    # Artifacts and the index

    def ingest(self, blob_name: str) -> None:
        """Take in, or quarantine, an artifact."""
        about(artifact=blob_name)
        intake = self._ports.intake.ingest_package(blob_name, now=self._clock())
        log.info("%s: %s %s", blob_name, intake.outcome, intake.code)

    def publish(self, requests: Sequence[IndexRequest]) -> None:
        """Put packages into the index."""
        publisher = IndexPublisher(
            packages=self._adapters.packages,
            writer=self._ports.index_writer,
            events=self._adapters.events,
            pause_campaigns=self._pause_withdrawn,
        )
        publisher.publish(requests, now=self._clock())

    def _pause_withdrawn(self, row: RegisteredPackage, now: datetime) -> None:
        why = row.withdrawal.reason if row.withdrawal and row.withdrawal.reason else "no reason was given"
        pause_campaigns_of(row.package, f"its package was withdrawn: {why}", self._ports.campaign_ports, now=now)

    def withdraw_package(self, name: str, version: str, *, reason: str, who: str) -> PackageView:
        """Take a package out of the index."""
        adapters = self._adapters
        row = withdraw_package(
            name, version, adapters.packages, adapters.sender, reason=reason, who=who, now=self._clock()
        )
        return view_package(row)

    def show_package(self, name: str, version: str) -> PackageView:
        """A package."""
        return view_package(get_package(self._adapters.packages, name, version).value)

    def list_packages(self, *, size: int, continuation: str) -> PackagePage:
        """One page of packages, in the order of their names."""
        page = self._adapters.packages.list_page(size=size, continuation=continuation)
        return PackagePage(packages=[view_package(row) for row in page.items], continuation=page.continuation or None)

    def refresh_index(self) -> None:
        """Sign the index anew before it expires."""
        watch_index(self._ports.index_writer, self._adapters.events, now=self._clock())

    def serve_repository(self, name: str) -> MetadataFile:
        """One metadata file of the index."""
        return serve_repository(name, self._adapters.index)

    def exchange_ticket(self, path: str, ticket: str) -> Exchange:
        """A device's ticket for a URL."""
        return self._ports.ticket_desk.exchange_ticket(path, ticket, now=self._clock())

    @property
    def logs(self) -> LogDesk:
        """Logs of failed rollouts."""
        return self._ports.log_desk

    def take_log(self, content: bytes, ticket: str) -> None:
        """Keep the log of a device whose rollout failed."""
        self._ports.log_desk.take(content, ticket, now=self._clock())

    # Campaigns

    def create_campaign(
        self, request: CampaignRequest, *, idempotency_key: str | None, requested_by: str
    ) -> CampaignView:
        """A new campaign, or the one the same request made before."""
        self._check_approval(request)
        campaign = create_campaign(
            request,
            self._ports.campaign_ports,
            idempotency_key=idempotency_key,
            requested_by=requested_by,
            shards=self._settings.shards,
            now=self._clock(),
        )
        about(campaign=campaign.id)
        return view_of(campaign, self._view_ports)

    def find_existing_campaign(self, request: CampaignRequest, *, idempotency_key: str | None) -> ExistingView | None:
        """The campaign that was made under the key, compared with the request."""
        return show_existing(request, self._ports.campaign_ports, idempotency_key)

    def start_dry_run(
        self, request: CampaignRequest, *, idempotency_key: str | None, requested_by: str
    ) -> ForecastView | OperationView:
        """What the campaign would do, or the operation that finds it out."""
        self._check_approval(request)
        now = self._clock()
        operation = start_dry_run(
            request,
            self._ports.dry_run_ports,
            idempotency_key=idempotency_key,
            requested_by=requested_by,
            shards=self._settings.shards,
            now=now,
        )
        plan = self._ports.forecaster.show_plan(operation, now=now) if is_answered_at_once(operation.draft) else None
        return plan or self._ports.forecaster.show(operation, now=now)

    def show_operation(self, operation: OperationId) -> OperationView:
        """A dry run with what it knows so far."""
        found = get_stored_operation(self._adapters.operations, operation).value
        return self._ports.forecaster.show(found, now=self._clock())

    def advance_operation(self, step: OperationStep) -> None:
        """Take a dry run's next step."""
        advance_operation(step, self._ports.dry_run_ports, now=self._clock())

    def list_campaigns(self, *, size: int, continuation: str) -> CampaignPage:
        """One page of campaigns."""
        return list_campaigns(self._adapters.campaigns, size=size, continuation=continuation)

    def show_campaign(self, campaign: CampaignId) -> CampaignView:
        """A campaign with its waves and counters."""
        return show_campaign(campaign, self._view_ports)

    def show_audit(self, campaign: CampaignId, *, size: int, continuation: str) -> AuditPage:
        """One page of a campaign's audit log."""
        return show_audit(campaign, self._adapters.audit_records, size=size, continuation=continuation)

    def act_on_campaign(
        self, campaign: CampaignId, action: OperatorAction, *, who: str, said: ActionRequest
    ) -> CampaignView:
        """The campaign after what somebody did to it."""
        after = act_on_campaign(campaign, action, self._ports.campaign_ports, now=self._clock(), who=who, said=said)
        return view_of(after, self._view_ports)

    def stop_fleet(self, reason: str, *, who: str) -> StopView:
        """Stop the whole fleet."""
        return view_stop(stop_fleet(reason, self._ports.stop_ports, who=who, now=self._clock()))

    def release_fleet(self, *, who: str) -> StopView:
        """Let the fleet go on."""
        return view_stop(release_fleet(self._ports.stop_ports, who=who, now=self._clock()))

    def show_stop(self) -> StopView:
        """Whether the fleet is stopped."""
        return view_stop(self._adapters.stops.get().value)

    def _check_approval(self, request: CampaignRequest) -> None:
        if self._ports.token_desk is None:
            refuse_approval(request.approval)

    def edit_waves(self, campaign: CampaignId, request: WavesRequest, *, who: str) -> CampaignView:
        """The campaign with its pending waves as asked."""
        after = edit_waves(campaign, request, self._ports.campaign_ports, who=who, now=self._clock())
        return view_of(after, self._view_ports)

    def close_membership(self, campaign: CampaignId, *, who: str) -> CampaignView:
        """The campaign, which nobody joins any more."""
        after = close_membership(campaign, self._ports.campaign_ports, who=who, now=self._clock())
        return view_of(after, self._view_ports)

    # Saved groups

    def put_group(self, name: GroupName, request: GroupRequest, *, who: str) -> GroupView:
        """The group, meaning this from now on."""
        query, list_name = request.query or "", request.list_name or ""
        group = put_group(name, self._ports.group_ports, query=query, list_name=list_name, who=who, now=self._clock())
        return view_group(group)

    def show_group(self, name: GroupName) -> GroupView:
        """A group."""
        return view_group(get_group(name, self._adapters.groups))

    def list_groups(self, *, size: int, continuation: str) -> GroupPage:
        """One page of groups, in the order of their names."""
        page = self._adapters.groups.list_page(size=size, continuation=continuation)
        return GroupPage(groups=[view_group(group) for group in page.items], continuation=page.continuation or None)

    def delete_group(self, name: GroupName, *, who: str) -> None:
        """Delete a group."""
        delete_group(name, self._ports.group_ports, who=who, now=self._clock())

    # Steps

    def advance(self, step: CampaignStep) -> None:
        """Take a campaign's next step."""
        advance_campaign(step, self._ports.campaign_ports, now=self._clock())

    # Device batches and reports

    def dispatch(self, work: BatchWork) -> None:
        """Write the twins of a device batch."""
        dispatch_batch(work, self._ports.dispatch_ports, now=self._clock())

    def visit(self, visit: BatchVisit) -> None:
        """Time out and settle a device batch."""
        visit_batch(visit, self._ports.visit_ports, now=self._clock())

    def relay(self, events: Iterable[RawTwinEvent]) -> None:
        """Carry twin changes over to Event Grid."""
        twin_events = list(events)
        published = relay_reports(twin_events, self._ports.relay_ports)
        tell_lag(twin_events, reports=published, now=self._clock())

    def fold(self, data: bytes) -> None:
        """Fold the reports of one event; an event that nobody can read is parked.

        Raises:
            PortError: Event Grid must deliver it again, be it to an instance of the version that wrote it.
        """
        try:
            fold_reports(tell_subject_of(read_report_batch(data)), self._ports.fold_ports)
        except NewerMessage as error:
            raise Unavailable(error.message) from error
        except MalformedMessage as error:
            self.parking.park(source=REPORTS, body=data, code=error.code, reason=error.message)

    def fold_backlog(self, data: bytes) -> None:
        """Fold reports that met too many others at one row.

        Raises:
            PortError: The host must deliver it again, be it to an instance of the version that wrote it.
        """
        try:
            fold_backlog(tell_subject_of(read_report_batch(data)), self._ports.fold_ports)
        except NewerMessage as error:
            raise Unavailable(error.message) from error

    def note_lifecycle(self, event_type: str, data: Mapping[str, Any]) -> None:
        """Note that a device was created or deleted; an event that nobody can read is parked."""
        try:
            event = read_lifecycle(event_type, data)
        except MalformedMessage as error:
            body = json.dumps({"type": event_type, "data": data}).encode()
            self.parking.park(source="device-lifecycle", body=body, code=error.code, reason=error.message)
            return
        about(device=event.device)
        note_lifecycle(event, self._ports.lifecycle_ports, now=self._clock())

    # Sweeps

    def resume(self) -> None:
        """Take up overdue steps and index requests, and let devices join that began to match."""
        now = self._clock()
        emit(log, Signal.RESUMED, "looking for overdue steps")
        run_all(
            lambda: resume_campaigns(self._adapters.campaigns, self._adapters.sender, now=now),
            lambda: resume_operations(self._adapters.operations, self._adapters.sender, now=now),
            lambda: join_newcomers(self._ports.campaign_ports, now=now),
            lambda: resume_publishing(self._adapters.packages, self._adapters.sender, now=now),
        )

    def reconcile(self) -> None:
        """Take up what was overlooked: artifacts, rows whose reports never came, late failures."""
        run_all(self._sweep_incoming, self._reconcile_rows, self._reconsider_passed)

    def _reconsider_passed(self) -> None:
        reconsider_passed(self._adapters.campaigns, self._adapters.sender, now=self._clock())

    def _sweep_incoming(self) -> None:
        sweep = IncomingSweep(
            intake=self._ports.intake, crash_reports=self._adapters.crash_reports, parking=self._adapters.parking
        )
        sweep.sweep_incoming(now=self._clock())

    def _reconcile_rows(self) -> None:
        ports = ReconcilePorts(
            campaigns=self._adapters.campaigns, twins=self._adapters.twin_reader, fold=self._ports.fold_ports
        )
        reconcile(ports, now=self._clock(), quiet_s=self._settings.reconcile_quiet.total_seconds())

    def archive_campaigns(self) -> None:
        """Move the rows of campaigns that ended long ago into blobs."""
        adapters = self._adapters
        ports = ArchivePorts(
            campaigns=adapters.campaigns,
            rollouts=adapters.rollouts,
            rows=adapters.rollout_rows,
            archive=adapters.archive,
            publisher=adapters.events,
            clock=self._clock,
            keep=self._settings.retention,
        )
        archive_campaigns(ports)

    def forget_operations(self) -> None:
        """Delete dry runs that nothing has come of for days, with what they left in ``manifests``."""
        forget_operations(self._ports.forgetting_ports(self._clock))

    def find_outages(self) -> Mapping[str, str]:
        """What did not answer when it was looked at last: name to reason, empty when all is well."""
        return self._outages.find()
