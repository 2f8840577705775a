"""Every port with the adapter that serves it, built when first needed and shared by all threads."""

from __future__ import annotations

from shared.adapters.azure_archive import AzureArchive, AzureRolloutRows
from shared.adapters.azure_artifacts import AzureArtifacts
from shared.adapters.azure_audit import AzureAuditRecords
from shared.adapters.azure_budget import AzureBudget
from shared.adapters.azure_bus import AzureBus
from shared.adapters.azure_campaigns import AzureCampaigns
from shared.adapters.azure_devices import AzureDevices
from shared.adapters.azure_directory import AzureDirectory
from shared.adapters.azure_events import AzureEvents
from shared.adapters.azure_groups import AzureGroups
from shared.adapters.azure_index import AzureIndex
from shared.adapters.azure_links import AccountKeyLinks, DelegatedLinks
from shared.adapters.azure_logs import AzureLogs
from shared.adapters.azure_manifests import AzureManifests
from shared.adapters.azure_operations import AzureOperations
from shared.adapters.azure_packages_table import AzurePackages
from shared.adapters.azure_parking import AzureParking
from shared.adapters.azure_poison import POISON_QUEUE, AzureCrashReports
from shared.adapters.azure_rollouts import AzureRollouts
from shared.adapters.azure_stops import AzureStops
from shared.adapters.azure_target_lists import AzureTargetLists
from shared.adapters.azure_traffic import AzureTraffic
from shared.adapters.azure_twin_reader import AzureTwinReader
from shared.adapters.azure_twins_bulk import AzureTwinBulk
from shared.adapters.azure_twins_patch import AzureTwinPatches
from shared.adapters.key_rings import open_key_ring
from shared.handlers.campaign_facts import CampaignFactsCache
from shared.ports.hub import TwinWriter
from shared.ports.keys import KeyRing
from shared.ports.packages import DownloadLinks
from shared.settings import Settings, TwinWriterKind
from shared.wiring.clients import Clients
from shared.wiring.once import once

EVENT_SOURCE = "groundswell"


class Adapters:
    """The ports."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients = Clients(settings)

    @once
    def artifacts(self) -> AzureArtifacts:
        return AzureArtifacts(self._clients.blobs)

    @once
    def packages(self) -> AzurePackages:
        return AzurePackages(self._clients.table("packages"))

    @once
    def index(self) -> AzureIndex:
        return AzureIndex(self._clients.blobs)

    @once
    def keys(self) -> KeyRing:
        return open_key_ring(self._settings.keys_uri, lambda: self._clients.credential)

    @once
    def links(self) -> DownloadLinks:
        base_url = self._settings.download_base_url
        if self._settings.storage.connection_string:
            return AccountKeyLinks(self._clients.blobs, base_url=base_url)
        return DelegatedLinks(self._clients.blobs, base_url=base_url)

    @once
    def crash_reports(self) -> AzureCrashReports:
        return AzureCrashReports(self._clients.queues.get_queue_client(POISON_QUEUE))

    @once
    def campaigns(self) -> AzureCampaigns:
        return AzureCampaigns(self._clients.table("campaigns"))

    @once
    def audit_records(self) -> AzureAuditRecords:
        return AzureAuditRecords(self._clients.table("audit"))

    @once
    def manifests(self) -> AzureManifests:
        return AzureManifests(self._clients.blobs.get_container_client("manifests"))

    @once
    def groups(self) -> AzureGroups:
        return AzureGroups(self._clients.table("groups"))

    @once
    def lists(self) -> AzureTargetLists:
        return AzureTargetLists(self._clients.blobs.get_container_client("target-lists"))

    @once
    def logs(self) -> AzureLogs:
        return AzureLogs(self._clients.blobs.get_container_client("logs"))

    @once
    def operations(self) -> AzureOperations:
        return AzureOperations(self._clients.table("operations"))

    @once
    def rollout_rows(self) -> AzureRolloutRows:
        return AzureRolloutRows(self._clients.table("rollout"))

    @once
    def archive(self) -> AzureArchive:
        return AzureArchive(self._clients.blobs.get_container_client("archive"))

    @once
    def budget(self) -> AzureBudget:
        return AzureBudget(
            self._clients.table("budget"),
            hub=self._clients.hub_name,
            ceiling_per_s=self._settings.twin_updates_per_s,
            bandwidth_bytes_per_s=self._settings.bandwidth_bytes_per_s,
        )

    @once
    def stops(self) -> AzureStops:
        return AzureStops(self._clients.table("budget"), hub=self._clients.hub_name)

    @once
    def traffic(self) -> AzureTraffic:
        return AzureTraffic(self._clients.table("budget"), hub=self._clients.hub_name)

    @once
    def rollouts(self) -> AzureRollouts:
        return AzureRollouts(self._clients.table("rollout"))

    @once
    def devices(self) -> AzureDevices:
        return AzureDevices(self._clients.table("devices"))

    @once
    def facts(self) -> CampaignFactsCache:
        return CampaignFactsCache(self.campaigns)

    @once
    def directory(self) -> AzureDirectory:
        return AzureDirectory(self._clients.hub)

    @once
    def twins(self) -> TwinWriter:
        if self._settings.twin_writer is TwinWriterKind.BULK:
            return AzureTwinBulk(self._clients.hub)
        return AzureTwinPatches(self._clients.hub)

    @once
    def twin_reader(self) -> AzureTwinReader:
        return AzureTwinReader(self._clients.hub)

    @once
    def sender(self) -> AzureBus:
        return AzureBus(self._clients.bus)

    @once
    def reports(self) -> AzureEvents:
        return AzureEvents(self._clients.topic(self._settings.reports_topic), source=EVENT_SOURCE, topic="reports")

    @once
    def events(self) -> AzureEvents:
        return AzureEvents(self._clients.topic(self._settings.events_topic), source=EVENT_SOURCE, topic="events")

    @once
    def parking(self) -> AzureParking:
        return AzureParking(self._clients.blobs.get_container_client("parked"))
