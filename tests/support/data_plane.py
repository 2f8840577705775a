"""The data plane of one campaign in memory: batches planned as planning plans them, and devices that report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from securesystemslib.signer import CryptoSigner

from shared.domain.campaigns import CampaignState
from shared.domain.devices import DeviceRecord, claim
from shared.domain.gates import Counters
from shared.domain.ids import CampaignId, DeviceId, ring_order, shard_of
from shared.domain.packages import Package, PackageState, RegisteredPackage
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.variants import choose_variant
from shared.domain.walks import BatchPurpose
from shared.domain.waves import DeviceBatch, DeviceCount, Rest, WaveSpec, WaveState, cut_batches
from shared.handlers.campaign_facts import CampaignFactsCache
from shared.handlers.campaign_ports import CampaignPorts
from shared.handlers.dispatch_batch import dispatch_batch
from shared.handlers.fold_reports import FoldPorts, fold_reports
from shared.handlers.offer_batch import DispatchPorts
from shared.handlers.pause_campaign import pause_campaign
from shared.handlers.relay_reports import RelayPorts, relay_reports
from shared.handlers.sign_offers import OfferKeys
from shared.handlers.spec_desk import SpecDesk
from shared.handlers.visit_batch import VisitPorts, visit_batch
from shared.ports.rollouts import DeviceStore, RolloutStore
from shared.ports.stored import Stored
from shared.trust.signers import KeyRole
from shared.trust.tickets import TicketKeys
from shared.wire.messages import BatchVisit, BatchWork
from shared.wire.reports import read_report_batch
from shared.wire.twin_events import RawTwinEvent
from tests.support.campaign_sources import MemoryDirectory
from tests.support.campaign_world import Life, Mortal
from tests.support.made_campaigns import make_campaign, with_packages
from tests.support.memory_bus import MemoryBus, MemoryEvents, MemoryParking
from tests.support.memory_campaigns import MemoryAuditLog, MemoryBudget, MemoryCampaigns, MemoryManifests, MemoryStops
from tests.support.memory_hub import MemoryHub
from tests.support.memory_keys import MemoryKeyRing
from tests.support.memory_packages import MemoryPackages
from tests.support.memory_rollouts import MemoryDevices, MemoryRollouts, counters_of
from tests.support.memory_targets import MemoryGroups, MemoryTargetLists
from tests.support.rollouts import CAMPAIGN, NOON, OLD_VERSION, TARGET


class DataPlane:
    """The handlers over one campaign, with every port in memory unless another is given.

    Attributes:
        now: The time the handlers are told.
        life: How long the process lives; every write of every port counts.
        hardware: Device to what it is, where the campaign has several packages.
    """

    def __init__(
        self,
        names: Iterable[str] = ("gw-1",),
        *,
        shards: int = 1,
        waves: Sequence[int] = (),
        rollouts: RolloutStore | None = None,
        devices: DeviceStore | None = None,
        packages: Sequence[Package] = (),
        hardware: Mapping[str, str] | None = None,
    ) -> None:
        self.now = NOON
        self.life = Life()
        self.names = sorted(map(DeviceId, names), key=lambda device: ring_order(device, 0))
        self.hub = MemoryHub(self.names)
        self.bus = MemoryBus(NOON)
        self.events = MemoryEvents()
        self.parking = MemoryParking()
        self.budget = MemoryBudget(50.0)
        self.stops = MemoryStops()
        self.audit = MemoryAuditLog()
        self.campaigns = MemoryCampaigns()
        self.rollouts: Any = rollouts or MemoryRollouts()
        self.devices: Any = devices or MemoryDevices()
        signer = CryptoSigner.generate_ecdsa()
        tickets = TicketKeys(current="k1", secrets={"k1": b"0" * 32})
        self.keys = OfferKeys(intents=lambda: signer, tickets=tickets)
        specs = [WaveSpec(name=f"wave of {size}", size=DeviceCount(devices=size)) for size in waves]
        rest = WaveSpec(name="rest", size=Rest())
        ring = MemoryKeyRing()
        ring.add(KeyRole.SPECS)
        self.specs = SpecDesk(ring)
        self.untrusted: list[CampaignId] = []
        self.packages = MemoryPackages()
        self.hardware = dict(hardware or {})
        made = make_campaign(self.names, shards=shards, waves=[*specs, rest])
        self.campaign = self.specs.sign(with_packages(made, packages) if packages else made)
        for package in self.campaign.packages:
            self.packages.create(RegisteredPackage(package=package, state=PackageState.PUBLISHED, accepted_at=NOON))
        self.campaigns.create(self.campaign)
        self.batches = self._plan()
        self.manifests = MemoryManifests()
        for wave in self.campaign.waves:
            ours = [batch for batch in self.batches if batch.wave == wave.number]
            self.manifests.write_batches(CAMPAIGN, wave.number, ours)

    def _plan(self) -> list[DeviceBatch]:
        """Claim every device and write its row, as planning does."""
        batches = []
        for wave in self.campaign.waves:
            members = self.names[wave.start : wave.stop]
            for batch, devices in cut_batches(wave.number, members, self.campaign.shards):
                records = [
                    claim(DeviceRecord(device=device, changed_at=NOON), CAMPAIGN, now=NOON) for device in devices
                ]
                self.devices.write([Stored(value=record, etag="") for record in records])
                self.rollouts.create_batch(CAMPAIGN, batch.shard, [self._planned(batch, record) for record in records])
                batches.append(batch)
        return batches

    def _planned(self, batch: DeviceBatch, record: DeviceRecord) -> Rollout:
        hardware = self.hardware.get(record.device, "")
        variant = choose_variant(self.campaign.packages, hardware)
        return replace(_planned(batch, record), variant=variant or 0, hardware=hardware)

    # The handlers.

    def dispatch(self, batch: DeviceBatch | None = None, purpose: BatchPurpose = BatchPurpose.OFFER) -> None:
        """Dispatch a batch, by default the first, in a time slot that begins now."""
        batch, slot = batch or self.batches[0], int(self.now.timestamp())
        work = BatchWork(campaign=CAMPAIGN, batch=batch, purpose=purpose, step=1, slot_epoch_s=slot)
        dispatch_batch(work, self.dispatch_ports(), now=self.now)

    def dispatch_ports(self) -> DispatchPorts:
        """What dispatching needs."""
        return DispatchPorts(
            campaigns=self.mortal(self.campaigns),
            manifests=self.manifests,
            rollouts=self.mortal(self.rollouts),
            devices=self.mortal(self.devices),
            twins=self.mortal(self.hub),
            budget=self.mortal(self.budget),
            stops=self.stops,
            sender=self.mortal(self.bus),
            keys=self.keys,
            specs=self.specs,
            packages=self.packages,
            stop_untrusted=lambda campaign, _error, _now: self.untrusted.append(campaign.id),
            pause=lambda campaign, reason, now: pause_campaign(campaign, reason, self.campaign_ports(), now=now),
            clock=lambda: self.now,
        )

    def campaign_ports(self) -> CampaignPorts:
        """What acting on the campaign as a whole needs."""
        return CampaignPorts(
            campaigns=self.mortal(self.campaigns),
            manifests=self.manifests,
            budget=self.mortal(self.budget),
            stops=self.stops,
            audit=self.mortal(self.audit),
            rollouts=self.mortal(self.rollouts),
            devices=self.mortal(self.devices),
            packages=self.packages,
            directory=MemoryDirectory((), 100),
            twins=self.hub,
            groups=MemoryGroups(),
            lists=MemoryTargetLists(),
            sender=self.mortal(self.bus),
            publisher=self.mortal(self.events),
            specs=self.specs,
        )

    def relay(self, events: Sequence[RawTwinEvent]) -> int:
        """Relay twin events into ``events``."""
        ports = RelayPorts(
            facts=self.facts(), twins=self.hub, publisher=self.mortal(self.events), parking=self.mortal(self.parking)
        )
        return relay_reports(events, ports)

    def fold(self) -> None:
        """Fold all events published so far, once each."""
        for event in self.events.events:
            fold_reports(read_report_batch(event.data), self.fold_ports())

    def fold_ports(self, patience_s: float = 5.0) -> FoldPorts:
        """What folding needs."""
        return FoldPorts(
            facts=self.facts(),
            rollouts=self.mortal(self.rollouts),
            sender=self.mortal(self.bus),
            clock=lambda: self.now,
            patience_s=patience_s,
        )

    def visit(self, batch: DeviceBatch | None = None, *, due: datetime | None = None) -> int:
        """Visit a batch, by default the first, as the message due at a time asks for it."""
        due_epoch_s = None if due is None else int(due.timestamp())
        visit = BatchVisit(campaign=CAMPAIGN, batch=batch or self.batches[0], due_epoch_s=due_epoch_s)
        return visit_batch(visit, self.visit_ports(), now=self.now)

    def visit_ports(self) -> VisitPorts:
        """What visiting needs."""
        return VisitPorts(
            facts=self.facts(),
            rollouts=self.mortal(self.rollouts),
            devices=self.mortal(self.devices),
            sender=self.mortal(self.bus),
            clock=lambda: self.now,
        )

    def facts(self) -> CampaignFactsCache:
        """The campaign's facts, nothing remembered."""
        return CampaignFactsCache(self.campaigns)

    def mortal(self, port: Any) -> Any:
        """The port as the process sees it, whose life its writes use up."""
        return Mortal(port, self.life)

    # What devices do.

    def says(self, device: str, state: str, at: int, **fields: Any) -> RawTwinEvent:
        """The twin event of a device's report; it stands in the twin afterwards."""
        document = {
            "campaign": CAMPAIGN,
            "wave": self._wave(device),
            "attempt": 1,
            "sequence": 1,
            "state": state,
            "code": "health_check" if state == "failed" else "",
            "detail": f"report {at}",
            "progress": 0,
            "installed": {_key(TARGET.name): TARGET.version if state == "succeeded" else OLD_VERSION},
            "agent": "0.1.0",
            **fields,
        }
        reported = {"update": document, **_metadata(at)}
        self.hub.reported[DeviceId(device)] = reported
        return twin_event(device, reported)

    def _wave(self, device: str) -> int:
        place = self.names.index(DeviceId(device))
        return next(wave.number for wave in self.campaign.waves if wave.start <= place < wave.stop)

    # What tests look at.

    def row(self, device: str) -> Rollout:
        """The device's rollout row."""
        name = DeviceId(device)
        shard = shard_of(name, self.campaign.shards)
        row: Rollout = self.rollouts.read_devices(CAMPAIGN, shard, [name])[name].value
        return row

    def rows(self) -> dict[DeviceId, Rollout]:
        """All rollout rows."""
        return {name: self.row(name) for name in self.names}

    def record(self, device: str) -> DeviceRecord:
        """The device's own row."""
        name = DeviceId(device)
        record: DeviceRecord = self.devices.read_batch([name])[name].value
        return record

    def counters(self, wave: int = 1) -> Counters:
        """A wave's counters."""
        counters: Counters = self.rollouts.read_counters(CAMPAIGN, wave, self.campaign.shards)
        return counters

    def check_counters(self) -> None:
        """Counters equal the rows, wave by wave (invariant I3)."""
        rows = self.rows().values()
        for wave in self.campaign.waves:
            counted = {state: count for state, count in self.counters(wave.number).by_state.items() if count}
            assert counted == counters_of(row for row in rows if row.wave == wave.number).by_state

    def states(self) -> set[RolloutState]:
        """The states that occur."""
        return {row.state for row in self.rows().values()}

    def set_campaign(self, state: CampaignState) -> None:
        """Put the campaign into a state."""
        stored = self.campaigns.get(CAMPAIGN)
        self.campaigns.save(Stored(value=replace(stored.value, state=state), etag=stored.etag))

    def set_wave(self, state: WaveState) -> None:
        """Put the campaign's first wave into a state."""
        stored = self.campaigns.get(CAMPAIGN)
        campaign = stored.value
        changed = campaign.with_wave(replace(campaign.waves[0], state=state))
        self.campaigns.save(Stored(value=changed, etag=stored.etag))

    def pass_time(self, seconds: float) -> datetime:
        """Move the clock."""
        self.now += timedelta(seconds=seconds)
        self.bus.now = self.now
        return self.now


def twin_event(device: str, reported: Mapping[str, Any], **properties: Any) -> RawTwinEvent:
    """A twin change as the route delivers it."""
    body = {"version": 5, "properties": {"reported": reported}}
    return RawTwinEvent(
        body=json.dumps(body).encode(),
        properties={"deviceId": device, "opType": "updateTwin", **properties},
        system_properties={"iothub-message-source": "twinChangeEvents"},
    )


def _planned(batch: DeviceBatch, record: DeviceRecord) -> Rollout:
    return Rollout(
        device=record.device,
        campaign=CampaignId(CAMPAIGN),
        wave=batch.wave,
        batch=batch.number,
        sequence=record.sequence,
        changed_at=NOON,
    )


def _metadata(at: int) -> dict[str, Any]:
    moment = (NOON + timedelta(seconds=at)).isoformat()
    return {"$metadata": {"$lastUpdated": moment, "update": {"$lastUpdated": moment}}, "$version": at}


def _key(name: str) -> str:
    return name.replace(".", "%2E")
