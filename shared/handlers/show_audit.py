"""Operators and auditors look at what happened to a campaign."""

from __future__ import annotations

from shared.domain.errors import NotFound
from shared.domain.ids import CampaignId
from shared.ports.campaigns import AuditRecords
from shared.wire.http_audit import AuditPage, view_audit_record


def show_audit(campaign: CampaignId, records: AuditRecords, *, size: int, continuation: str = "") -> AuditPage:
    """One page of the campaign's audit log, in the order of the records.

    Raises:
        NotFound: The campaign has no log.
        DomainError: No page ended at the continuation.
    """
    page = records.read_page(campaign, size=size, continuation=continuation)
    if not page.items and not continuation:
        raise NotFound(f"there is no audit log of {campaign}; GET /campaigns lists all campaigns")
    return AuditPage(
        records=[view_audit_record(record) for record in page.items], continuation=page.continuation or None
    )
