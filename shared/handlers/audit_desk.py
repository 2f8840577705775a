"""Appending to a campaign's audit chain, and sealing it where something was decided."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shared.domain.audit import AuditEntry, AuditRecord, next_record, owes_seal
from shared.domain.ids import CampaignId
from shared.handlers.contention import until_written
from shared.ports.campaigns import AuditRecords
from shared.ports.errors import AlreadyExists, ConcurrentChange, PortError
from shared.ports.keys import KeyRing
from shared.trust.audit_seals import seal_record
from shared.trust.signers import KeyRole

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuditDesk:
    """An ``AuditLog`` over records: whoever finds a record's number taken reads again and takes the next."""

    records: AuditRecords
    keys: KeyRing

    def append(self, entry: AuditEntry) -> None:
        """Keep the entry at the end of its chain; one that tells of the same deed is kept once, as it first came.

        Raises:
            PortError: It is not kept, or nobody knows; appending it again is safe.
        """
        until_written(lambda: self._try_to_append(entry), what=f"audit of {entry.campaign}")

    def read(self, campaign: CampaignId) -> Iterator[AuditEntry]:
        """The entries of a campaign in the order in which they were appended."""
        return (record.entry for record in self.records.read(campaign))

    def _try_to_append(self, entry: AuditEntry) -> None:
        chain = list(self.records.read(entry.campaign))
        record = next_record(chain, entry)
        if record is None:
            return
        if entry.needs_seal or owes_seal(chain):
            record = self._sealed(record)
        try:
            self.records.create(record)
        except AlreadyExists as error:
            raise ConcurrentChange(f"somebody else wrote record {record.number}") from error

    def _sealed(self, record: AuditRecord) -> AuditRecord:
        """The record with its seal, or without one while the key cannot be used: no stop may wait for a key store."""
        try:
            return replace(record, seal=seal_record(record, self.keys.newest(KeyRole.SPECS)))
        except PortError as error:
            log.warning("%s: audit record %d is not sealed: %s", record.entry.campaign, record.number, error)
            return record
