"""Rows of the table ``audit``: partition = campaign, row = the record's number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.domain.audit import AuditEntry, AuditRecord
from shared.domain.ids import campaign_id


def audit_row_key(number: int) -> str:
    """The row key of a record: keys stand in the order of the numbers."""
    return f"{number:010d}"


def write_audit_row(record: AuditRecord) -> dict[str, Any]:
    """The row of a record."""
    entry = record.entry
    return {
        "PartitionKey": entry.campaign,
        "RowKey": audit_row_key(record.number),
        "number": record.number,
        "step": entry.step,
        "at": entry.at,
        "who": entry.who,
        "what": entry.what,
        "before": entry.before,
        "after": entry.after,
        "detail": entry.detail,
        "facts": json.dumps(dict(entry.facts), sort_keys=True),
        "previous": record.previous,
        "hash": record.hash,
        "seal": record.seal,
    }


def read_audit_row(row: Mapping[str, Any]) -> AuditRecord:
    """The record in a row."""
    entry = AuditEntry(
        campaign=campaign_id(row["PartitionKey"]),
        step=row["step"],
        at=row["at"],
        who=row["who"],
        what=row["what"],
        before=row["before"],
        after=row["after"],
        detail=row["detail"],
        facts=json.loads(row["facts"]),
    )
    return AuditRecord(
        number=row["number"], previous=row["previous"], entry=entry, hash=row["hash"], seal=row.get("seal", "")
    )
