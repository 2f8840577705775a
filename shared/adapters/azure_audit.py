"""The ``audit`` table on Azure Table storage."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from azure.data.tables import TableClient

from shared.adapters.azure_table_errors import table_errors
from shared.domain.audit import AuditRecord
from shared.domain.errors import DomainError
from shared.domain.ids import CampaignId
from shared.ports.stored import Page
from shared.wire.campaign_audit import audit_row_key, read_audit_row, write_audit_row


class AzureAuditRecords:
    """An ``AuditRecords``."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    def create(self, record: AuditRecord) -> None:
        with table_errors():
            self._table.create_entity(write_audit_row(record))

    def read(self, campaign: CampaignId) -> Iterator[AuditRecord]:
        yield from self._read_after(campaign, 0)

    def read_page(self, campaign: CampaignId, *, size: int, continuation: str = "") -> Page[AuditRecord]:
        records = list(islice(self._read_after(campaign, read_continuation(continuation)), size + 1))
        items = tuple(records[:size])
        return Page(items=items, continuation=str(items[-1].number) if len(records) > size else "")

    def _read_after(self, campaign: CampaignId, number: int) -> Iterator[AuditRecord]:
        rows = self._table.query_entities(
            "PartitionKey eq @campaign and RowKey gt @after",
            parameters={"campaign": campaign, "after": audit_row_key(number)},
        )
        with table_errors():
            for row in rows:
                yield read_audit_row(row)


def read_continuation(text: str) -> int:
    """The number after which a page begins.

    Raises:
        DomainError: No page ended there.
    """
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise DomainError("continuation: this is not where a page ended", code="invalid_request")
    return int(text)
