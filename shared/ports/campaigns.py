"""Campaign rows, manifests and the pacing budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from shared.domain.audit import AuditEntry, AuditRecord
from shared.domain.campaigns import Campaign
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.pacing import Budget
from shared.domain.waves import DeviceBatch
from shared.ports.stored import Page, Stored


class CampaignStore(Protocol):
    """Table ``campaigns``: one partition per campaign, its row and its wave rows written in one transaction."""

    def create(self, campaign: Campaign) -> None:
        """Write a new campaign.

        Raises:
            AlreadyExists: The id is taken.
        """

    def get(self, campaign: CampaignId) -> Stored[Campaign]:
        """The campaign with its waves.

        Raises:
            NotThere: No such campaign.
            UnreadableRow: A newer version wrote it, or somebody edited it.
        """

    def save(self, campaign: Stored[Campaign]) -> Stored[Campaign]:
        """Write the campaign if nobody else has since it was read; waves that an edit took from it are gone then.

        Raises:
            ConcurrentChange: Somebody has.
        """

    def list_page(self, *, size: int, continuation: str = "") -> Page[Campaign]:
        """Campaigns without their waves, newest first where the store can."""

    def list_unfinished(self) -> Iterator[Campaign]:
        """Campaigns, without their waves, whose ``awaits_step`` holds; the store scans its campaign rows for them.

        Raises:
            UnreadableRow: When all others are through: there is one that this version cannot read.
        """


class ManifestStore(Protocol):
    """Container ``manifests``: listed pages, the ordered manifest and the batch lists of a campaign.

    Everything may be written again and is replaced then. Reading what was never written raises ``NotThere``.
    """

    def write_page(self, campaign: CampaignId, page: int, devices: Iterable[DeviceId]) -> None:
        """Keep one page of the listing."""

    def read_pages(self, campaign: CampaignId, stop: int, *, start: int = 0) -> Iterator[list[DeviceId]]:
        """The kept pages from ``start`` on, in order, ``stop`` not included."""

    def write_manifest(self, campaign: CampaignId, devices: Iterable[DeviceId], *, edition: str = "") -> None:
        """Keep the ordered targets; each edit of the waves makes an edition of its own."""

    def read_manifest(self, campaign: CampaignId, *, edition: str = "") -> list[DeviceId]:
        """The ordered targets."""

    def write_members(self, campaign: CampaignId, wave: int, part: int, members: Iterable[list[DeviceId]]) -> None:
        """Keep the devices of some of a wave's batches, so that claiming never reads the whole manifest."""

    def read_members(self, campaign: CampaignId, wave: int, part: int) -> list[list[DeviceId]]:
        """The devices of these batches, one list a batch."""

    def write_hardware(self, campaign: CampaignId, wave: int, part: int, known: Mapping[DeviceId, str]) -> None:
        """Keep what devices say they are: those of some of a wave's batches, or with wave 0 those of a page."""

    def read_hardware(self, campaign: CampaignId, wave: int, part: int) -> Mapping[DeviceId, str]:
        """What was kept; empty where nothing ever was."""

    def write_batches(self, campaign: CampaignId, wave: int, batches: Iterable[DeviceBatch]) -> None:
        """Keep the batch list of a wave."""

    def read_batches(self, campaign: CampaignId, wave: int) -> list[DeviceBatch]:
        """The batch list of a wave."""


class BudgetStore(Protocol):
    """Table ``budget``: the hub's rate reservation, one row shared by all campaigns and instances."""

    def get(self) -> Stored[Budget]:
        """The row, made with the hub's full rate where there is none."""

    def save(self, budget: Stored[Budget]) -> None:
        """Write it if nobody else has since it was read.

        Raises:
            ConcurrentChange: Somebody has.
        """


class AuditLog(Protocol):
    """What happened to campaigns: append-only, one chain a campaign."""

    def append(self, entry: AuditEntry) -> None:
        """Keep the entry; one with the same campaign, step, who, what and wave is kept once, as it first came.

        Written before the change it tells of: a crash may leave an entry without its change, never the other way.

        Raises:
            PortError: It is not kept, or nobody knows; appending it again is safe.
        """

    def read(self, campaign: CampaignId) -> Iterator[AuditEntry]:
        """The entries of a campaign in the order in which they were appended."""


class AuditRecords(Protocol):
    """Table ``audit``: the chained records, never changed and never deleted."""

    def create(self, record: AuditRecord) -> None:
        """Write the record under its number.

        Raises:
            AlreadyExists: The campaign has a record of that number.
        """

    def read(self, campaign: CampaignId) -> Iterator[AuditRecord]:
        """The records of a campaign in the order of their numbers."""

    def read_page(self, campaign: CampaignId, *, size: int, continuation: str = "") -> Page[AuditRecord]:
        """Some of them, in that order.

        Raises:
            DomainError: No page ended at the continuation.
        """
