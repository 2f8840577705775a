"""Campaigns, manifests, the budget and the audit log in memory, with the conditions of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from shared.adapters.azure_audit import read_continuation
from shared.domain.audit import AuditRecord
from shared.domain.campaigns import Campaign
from shared.domain.ids import CampaignId, DeviceId, OperationId
from shared.domain.pacing import LONG_AGO, Budget
from shared.domain.stops import FleetStop
from shared.domain.waves import DeviceBatch
from shared.handlers.audit_desk import AuditDesk
from shared.ports.errors import AlreadyExists, ConcurrentChange, NotThere, UnreadableRow
from shared.ports.operations import DraftBlob
from shared.ports.stored import Page, Stored
from shared.trust.signers import KeyRole
from shared.wire import manifests as wire
from tests.support.memory_keys import MemoryKeyRing


class MemoryCampaigns:
    """A ``CampaignStore``.

    Args:
        on_save: Told the campaign before and after each write that counts.

    Attributes:
        newer: Campaigns whose rows this version cannot read.
        newer_waves: Campaigns of which it cannot read the rows of waves.
    """

    def __init__(self, on_save: Callable[[Campaign, Campaign], None] = lambda _before, _after: None) -> None:
        self._rows: dict[CampaignId, Stored[Campaign]] = {}
        self._etags = count(1)
        self._on_save = on_save
        self.newer: set[CampaignId] = set()
        self.newer_waves: set[CampaignId] = set()

    def create(self, campaign: Campaign) -> None:
        if campaign.id in self._rows:
            raise AlreadyExists(campaign.id)
        self._keep(campaign)

    def get(self, campaign: CampaignId) -> Stored[Campaign]:
        if campaign not in self._rows:
            raise NotThere(campaign)
        if campaign in self.newer | self.newer_waves:
            raise UnreadableRow(campaign)
        return self._rows[campaign]

    def save(self, campaign: Stored[Campaign]) -> Stored[Campaign]:
        before = self.get(campaign.value.id)
        if before.etag != campaign.etag:
            raise ConcurrentChange(campaign.value.id)
        self._on_save(before.value, campaign.value)
        return self._keep(campaign.value)

    def list_page(self, *, size: int, continuation: str = "") -> Page[Campaign]:
        start = int(continuation or 0)
        rows = [self._rows[key].value for key in sorted(self._rows)]
        stop = start + size
        items = tuple(replace(row, waves=()) for row in rows[start:stop] if row.id not in self.newer)
        unreadable = {row.id: f"{row.id} is newer" for row in rows[start:stop] if row.id in self.newer}
        return Page(items=items, continuation=str(stop) if stop < len(rows) else "", unreadable=unreadable)

    def list_unfinished(self) -> Iterator[Campaign]:
        unfinished = [replace(row.value, waves=()) for row in self._rows.values() if row.value.awaits_step]
        yield from [row for row in unfinished if row.id not in self.newer]
        if newer := self.newer & {row.id for row in unfinished}:
            raise UnreadableRow(", ".join(newer))

    def _keep(self, campaign: Campaign) -> Stored[Campaign]:
        self._rows[campaign.id] = Stored(value=campaign, etag=str(next(self._etags)))
        return self._rows[campaign.id]


class MemoryManifests:
    """A ``ManifestStore``, and the ``DraftBlobs``.

    Attributes:
        clock: When blobs are written.
    """

    def __init__(self) -> None:
        self.clock: Callable[[], datetime] = lambda: LONG_AGO
        self._blobs: dict[str, Any] = {}
        self._stamps: dict[str, tuple[str, datetime]] = {}
        self._etags = count(1)

    def write_page(self, campaign: CampaignId, page: int, devices: Iterable[DeviceId]) -> None:
        self._write(wire.page_blob(campaign, page), devices)

    def read_pages(self, campaign: CampaignId, stop: int, *, start: int = 0) -> Iterator[list[DeviceId]]:
        for page in range(start, stop):
            yield self._read(wire.page_blob(campaign, page))

    def write_manifest(self, campaign: CampaignId, devices: Iterable[DeviceId], *, edition: str = "") -> None:
        self._write(wire.manifest_blob(campaign, edition), devices)

    def read_manifest(self, campaign: CampaignId, *, edition: str = "") -> list[DeviceId]:
        return self._read(wire.manifest_blob(campaign, edition))

    def write_members(self, campaign: CampaignId, wave: int, part: int, members: Iterable[list[DeviceId]]) -> None:
        self._write(wire.members_blob(campaign, wave, part), members)

    def read_members(self, campaign: CampaignId, wave: int, part: int) -> list[list[DeviceId]]:
        return self._read(wire.members_blob(campaign, wave, part))

    def write_hardware(self, campaign: CampaignId, wave: int, part: int, known: Mapping[DeviceId, str]) -> None:
        self._write(wire.hardware_blob(campaign, wave, part), known.items())

    def read_hardware(self, campaign: CampaignId, wave: int, part: int) -> Mapping[DeviceId, str]:
        name = wire.hardware_blob(campaign, wave, part)
        return dict(self._read(name)) if name in self._blobs else {}

    def write_batches(self, campaign: CampaignId, wave: int, batches: Iterable[DeviceBatch]) -> None:
        self._write(wire.batches_blob(campaign, wave), batches)

    def read_batches(self, campaign: CampaignId, wave: int) -> list[DeviceBatch]:
        return self._read(wire.batches_blob(campaign, wave))

    def list_drafts(self) -> Iterator[DraftBlob]:
        for name, (etag, changed_at) in sorted(self._stamps.items()):
            if name.startswith(wire.DRAFT_PREFIX):
                operation = OperationId(wire.owner_of(name))
                yield DraftBlob(operation=operation, name=name, etag=etag, changed_at=changed_at)

    def delete_draft(self, blob: DraftBlob) -> None:
        if self._stamps.get(blob.name, ("",))[0] == blob.etag:
            del self._blobs[blob.name], self._stamps[blob.name]

    def _write(self, name: str, content: Iterable[Any]) -> None:
        self._blobs[name] = list(content)
        self._stamps[name] = (str(next(self._etags)), self.clock())

    def _read(self, name: str) -> list[Any]:
        if name not in self._blobs:
            raise NotThere(name)
        return list(self._blobs[name])


class MemoryBudget:
    """A ``BudgetStore``."""

    def __init__(self, ceiling_per_s: float, bandwidth_bytes_per_s: int | None = None) -> None:
        self._etags = count(1)
        self.writes = 0
        self._row = self._stored(
            Budget(
                rate_per_s=ceiling_per_s,
                ceiling_per_s=ceiling_per_s,
                next_free_at=LONG_AGO,
                adjusted_at=LONG_AGO,
                bandwidth_bytes_per_s=bandwidth_bytes_per_s,
            )
        )

    def get(self) -> Stored[Budget]:
        return self._row

    def save(self, budget: Stored[Budget]) -> None:
        if budget.etag != self._row.etag:
            raise ConcurrentChange("budget")
        self.writes += 1
        self._row = self._stored(budget.value)

    def _stored(self, budget: Budget) -> Stored[Budget]:
        return Stored(value=budget, etag=str(next(self._etags)))


class MemoryStops:
    """A ``StopStore``."""

    def __init__(self) -> None:
        self._etags = count(1)
        self._row = Stored(value=FleetStop(), etag="")

    def get(self) -> Stored[FleetStop]:
        return self._row

    def save(self, stop: Stored[FleetStop]) -> None:
        if stop.etag != self._row.etag:
            raise ConcurrentChange("stop")
        self._row = Stored(value=stop.value, etag=str(next(self._etags)))


class MemoryTraffic:
    """A ``TrafficStore``."""

    def __init__(self) -> None:
        self._rows: dict[str, Stored[datetime]] = {}
        self._etags = count(1)
        self.calls = 0

    def get(self, scope: str) -> Stored[datetime]:
        self.calls += 1
        return self._rows.get(scope, Stored(value=LONG_AGO, etag=""))

    def save(self, scope: str, free_at: Stored[datetime]) -> None:
        self.calls += 1
        if free_at.etag != self._rows.get(scope, Stored(value=LONG_AGO, etag="")).etag:
            raise ConcurrentChange(scope)
        self._rows[scope] = Stored(value=free_at.value, etag=str(next(self._etags)))


class MemoryAuditRecords:
    """An ``AuditRecords``."""

    def __init__(self) -> None:
        self.rows: dict[tuple[CampaignId, int], AuditRecord] = {}

    def create(self, record: AuditRecord) -> None:
        key = (record.entry.campaign, record.number)
        if key in self.rows:
            raise AlreadyExists(str(key))
        self.rows[key] = record

    def read(self, campaign: CampaignId) -> Iterator[AuditRecord]:
        yield from [self.rows[key] for key in sorted(self.rows) if key[0] == campaign]

    def read_page(self, campaign: CampaignId, *, size: int, continuation: str = "") -> Page[AuditRecord]:
        after = read_continuation(continuation)
        later = [record for record in self.read(campaign) if record.number > after]
        items = tuple(later[:size])
        return Page(items=items, continuation=str(items[-1].number) if len(later) > size else "")


class MemoryAuditLog(AuditDesk):
    """An ``AuditLog``, sealed with a key of its own."""

    def __init__(self) -> None:
        keys = MemoryKeyRing()
        keys.add(KeyRole.SPECS)
        super().__init__(MemoryAuditRecords(), keys)


def _read[K, V](rows: dict[K, V], key: K) -> V:
    if key not in rows:
        raise NotThere(str(key))
    return rows[key]
