"""Rows of the table ``audit``: partition = campaign, rows in the order of the campaign's steps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from shared.domain.audit import AuditEntry
from shared.domain.ids import campaign_id


def write_audit_row(entry: AuditEntry) -> dict[str, Any]:
    """The row; its key is the same for the same step, deed and person, so that a repeat meets the row it wrote."""
    person = hashlib.sha256(entry.who.encode()).hexdigest()[:12]
    return {
        "PartitionKey": entry.campaign,
        "RowKey": f"{entry.step:010d}~{entry.what}~{person}",
        "step": entry.step,
        "at": entry.at,
        "who": entry.who,
        "what": entry.what,
        "before": entry.before,
        "after": entry.after,
        "detail": entry.detail,
    }


def read_audit_row(row: Mapping[str, Any]) -> AuditEntry:
    """The entry in a row."""
    return AuditEntry(
        campaign=campaign_id(row["PartitionKey"]),
        step=row["step"],
        at=row["at"],
        who=row["who"],
        what=row["what"],
        before=row["before"],
        after=row["after"],
        detail=row["detail"],
    )
