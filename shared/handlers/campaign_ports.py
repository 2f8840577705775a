"""Everything the campaign handlers need from outside."""

from __future__ import annotations

from dataclasses import dataclass

from shared.handlers.spec_desk import SpecDesk
from shared.ports.bus import EventPublisher, MessageSender
from shared.ports.campaigns import AuditLog, BudgetStore, CampaignStore, ManifestStore
from shared.ports.hub import DeviceDirectory, TwinReader
from shared.ports.packages import PackageStore
from shared.ports.rollouts import DeviceStore, RolloutStore
from shared.ports.stops import StopStore
from shared.ports.targets import GroupStore, TargetLists


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPorts:
    """The ports of the campaign handlers."""

    campaigns: CampaignStore
    manifests: ManifestStore
    budget: BudgetStore
    stops: StopStore
    audit: AuditLog
    rollouts: RolloutStore
    devices: DeviceStore
    packages: PackageStore
    directory: DeviceDirectory
    twins: TwinReader
    groups: GroupStore
    lists: TargetLists
    sender: MessageSender
    publisher: EventPublisher
    specs: SpecDesk
