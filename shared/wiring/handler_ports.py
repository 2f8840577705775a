"""What each handler needs of the outside, put together from the adapters and shared by all threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import Signer

from shared.adapters.jwks_keys import JwksKeys
from shared.domain.campaigns import Campaign
from shared.domain.ids import CampaignId, DeviceId
from shared.handlers.audit_desk import AuditDesk
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.dry_run import DryRunPorts
from shared.handlers.exchange_ticket import TicketDesk
from shared.handlers.failure_logs import LogDesk
from shared.handlers.fold_reports import FoldPorts
from shared.handlers.forget_operations import ForgettingPorts
from shared.handlers.identify_caller import TokenDesk
from shared.handlers.index_writing import IndexWriter
from shared.handlers.ingest_package import PackageIntake
from shared.handlers.keep_groups import GroupPorts
from shared.handlers.known_authorities import KnownAuthorities
from shared.handlers.meter_downloads import DownloadMeter
from shared.handlers.note_lifecycle import LifecyclePorts
from shared.handlers.offer_batch import DispatchPorts
from shared.handlers.pause_campaign import pause_campaign, stop_untrusted
from shared.handlers.relay_reports import RelayPorts
from shared.handlers.show_dry_runs import Forecaster
from shared.handlers.sign_offers import OfferKeys
from shared.handlers.spec_desk import SpecDesk
from shared.handlers.stop_fleet import StopPorts, StopWatch
from shared.handlers.visit_batch import VisitPorts
from shared.ports.errors import Unavailable
from shared.settings import Settings
from shared.trust.index import TIMESTAMP_FILE
from shared.trust.policy_file import read_trust_policy
from shared.trust.signers import KeyRole
from shared.trust.specs import SpecUntrusted
from shared.wire.price_file import read_price_file
from shared.wiring.adapters import Adapters
from shared.wiring.once import once

APP_FOLDER = Path(__file__).parents[2]
PRICES = APP_FOLDER / "prices.toml"

NOBODY = DeviceId("groundswell-health")
"""A device that no hub knows: asking for its twin shows that twins may be read, and costs no message."""


class HandlerPorts:
    """The ports of the handlers, each made when it is first needed."""

    def __init__(self, settings: Settings, adapters: Adapters) -> None:
        self._settings = settings
        self._adapters = adapters

    @once
    def token_desk(self) -> TokenDesk | None:
        """None where function keys serve."""
        tokens = self._settings.tokens
        return TokenDesk(policy=tokens.policy, keys=JwksKeys(tokens.jwks_uri)) if tokens else None

    @once
    def intake(self) -> PackageIntake:
        adapters = self._adapters
        return PackageIntake(
            store=adapters.artifacts,
            packages=adapters.packages,
            sender=adapters.sender,
            authorities=self.authorities.get,
        )

    @once
    def index_writer(self) -> IndexWriter:
        settings = self._settings
        policy = read_trust_policy(_read("TRUST_POLICY", settings.trust_policy_file))
        root = _read("ROOT_FILE", settings.root_file)
        return IndexWriter(store=self._adapters.index, keys=self._adapters.keys, expiries=policy.expiries, root=root)

    @once
    def authorities(self) -> KnownAuthorities:
        return KnownAuthorities(self.index_writer)

    @once
    def audit(self) -> AuditDesk:
        return AuditDesk(self._adapters.audit_records, self._adapters.keys)

    @once
    def specs(self) -> SpecDesk:
        return SpecDesk(self._adapters.keys)

    def stop_untrusted(self, campaign: Campaign, error: SpecUntrusted, now: datetime) -> None:
        stop_untrusted(campaign, error, self.campaign_ports, now=now)

    def pause(self, campaign: CampaignId, reason: str, now: datetime) -> None:
        pause_campaign(campaign, reason, self.campaign_ports, now=now)

    def intent_signer(self) -> Signer:
        return self._adapters.keys.signer(KeyRole.INTENTS, self.authorities.get().intent_keys)

    @once
    def ticket_desk(self) -> TicketDesk:
        return TicketDesk(
            keys=self._settings.ticket_keys,
            campaigns=self._adapters.campaigns,
            rollouts=self._adapters.rollouts,
            packages=self._adapters.packages,
            links=self._adapters.links,
            link_lifetime=self._settings.link_lifetime,
            stop=StopWatch(self._adapters.stops),
            meter=DownloadMeter(self._adapters.traffic, fleet_bytes_per_s=self._settings.bandwidth_bytes_per_s),
        )

    @once
    def stop_ports(self) -> StopPorts:
        adapters = self._adapters
        return StopPorts(stops=adapters.stops, audit=self.audit, publisher=adapters.events)

    @once
    def log_desk(self) -> LogDesk:
        return LogDesk(keys=self._settings.ticket_keys, logs=self._adapters.logs)

    @once
    def campaign_ports(self) -> CampaignPorts:
        adapters = self._adapters
        return CampaignPorts(
            campaigns=adapters.campaigns,
            manifests=adapters.manifests,
            budget=adapters.budget,
            stops=adapters.stops,
            audit=self.audit,
            rollouts=adapters.rollouts,
            devices=adapters.devices,
            packages=adapters.packages,
            directory=adapters.directory,
            twins=adapters.twin_reader,
            groups=adapters.groups,
            lists=adapters.lists,
            sender=adapters.sender,
            publisher=adapters.events,
            specs=self.specs,
        )

    @once
    def group_ports(self) -> GroupPorts:
        return GroupPorts(groups=self._adapters.groups, audit=self.audit)

    @once
    def dry_run_ports(self) -> DryRunPorts:
        return DryRunPorts(campaigns=self.campaign_ports, operations=self._adapters.operations)

    def forgetting_ports(self, clock: Callable[[], datetime]) -> ForgettingPorts:
        adapters = self._adapters
        return ForgettingPorts(operations=adapters.operations, drafts=adapters.manifests, clock=clock)

    @property
    def outage_checks(self) -> Mapping[str, Callable[[], object]]:
        return {
            "index": lambda: self._adapters.index.read(TIMESTAMP_FILE),
            "tables": lambda: self._adapters.packages.list_page(size=1),
            "keys": self.intent_signer,
            "hub": lambda: self._adapters.twin_reader.read_reported(NOBODY),
        }

    @once
    def forecaster(self) -> Forecaster:
        return Forecaster(
            budget=self._adapters.budget,
            prices=read_price_file(PRICES.read_bytes()),
            messages_per_day=self._settings.hub_messages_per_day,
        )

    @once
    def dispatch_ports(self) -> DispatchPorts:
        adapters = self._adapters
        return DispatchPorts(
            campaigns=adapters.campaigns,
            manifests=adapters.manifests,
            rollouts=adapters.rollouts,
            devices=adapters.devices,
            twins=adapters.twins,
            budget=adapters.budget,
            stops=adapters.stops,
            sender=adapters.sender,
            specs=self.specs,
            packages=adapters.packages,
            stop_untrusted=self.stop_untrusted,
            pause=self.pause,
            keys=OfferKeys(intents=self.intent_signer, tickets=self._settings.ticket_keys),
        )

    @once
    def visit_ports(self) -> VisitPorts:
        adapters = self._adapters
        return VisitPorts(
            facts=adapters.facts, rollouts=adapters.rollouts, devices=adapters.devices, sender=adapters.sender
        )

    @once
    def relay_ports(self) -> RelayPorts:
        adapters = self._adapters
        return RelayPorts(
            facts=adapters.facts, twins=adapters.twin_reader, publisher=adapters.reports, parking=adapters.parking
        )

    @once
    def fold_ports(self) -> FoldPorts:
        adapters = self._adapters
        return FoldPorts(facts=adapters.facts, rollouts=adapters.rollouts, sender=adapters.sender)

    @once
    def lifecycle_ports(self) -> LifecyclePorts:
        adapters = self._adapters
        return LifecyclePorts(
            facts=adapters.facts,
            rollouts=adapters.rollouts,
            devices=adapters.devices,
            twins=adapters.twin_reader,
            sender=adapters.sender,
        )


def _read(setting: str, path: str) -> bytes:
    """The file a setting names.

    Raises:
        Unavailable: It cannot be read; the work waits until it is there.
    """
    try:
        return (APP_FOLDER / path).read_bytes()
    except OSError as error:
        raise Unavailable(f"{setting} names {path}, which cannot be read: {error.strerror}") from error
