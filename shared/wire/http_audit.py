"""What ``GET /campaigns/{id}/audit`` answers, and the lines of an exported log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from shared.domain.audit import AuditEntry, AuditRecord
from shared.domain.errors import DomainError
from shared.domain.ids import campaign_id


class AuditRecordView(BaseModel):
    """A record of a campaign's audit log."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: int = Field(ge=1, description="From 1, without gaps")
    campaign: str
    step: int = Field(description="The step the campaign took with it")
    at: AwareDatetime
    who: str = Field(description="The operator; gate for verdicts, service for what follows by itself")
    what: str
    before: str = Field(description="State of the campaign before; empty for create")
    after: str = Field(description="State of the campaign after")
    detail: str
    facts: dict[str, Any] = Field(description="What it was derived from")
    previous: str = Field(description="Hash of the record before it, zeros for the first")
    hash: str = Field(description="Hash over all of it but the seal")
    seal: str = Field(description="The service's signature over campaign, number and hash; empty where there is none")


class AuditPage(BaseModel):
    """Part of the log; ``continuation`` is the query parameter for the next part, null at the end."""

    records: list[AuditRecordView]
    continuation: str | None = None


def view_audit_record(record: AuditRecord) -> AuditRecordView:
    """A record as it is shown and exported."""
    entry = record.entry
    return AuditRecordView(
        number=record.number,
        campaign=entry.campaign,
        step=entry.step,
        at=datetime.fromisoformat(entry.at.isoformat()),
        who=entry.who,
        what=entry.what,
        before=entry.before,
        after=entry.after,
        detail=entry.detail,
        facts=dict(entry.facts),
        previous=record.previous,
        hash=record.hash,
        seal=record.seal,
    )


def read_audit_line(line: bytes) -> AuditRecord:
    """The record in a line of an exported log.

    Raises:
        DomainError: It holds none (code ``record_unreadable``).
    """
    try:
        view = AuditRecordView.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise DomainError(f"{where}: {first['msg']}", code="record_unreadable") from error
    entry = AuditEntry(
        campaign=campaign_id(view.campaign),
        step=view.step,
        at=view.at,
        who=view.who,
        what=view.what,
        before=view.before,
        after=view.after,
        detail=view.detail,
        facts=view.facts,
    )
    return AuditRecord(number=view.number, previous=view.previous, entry=entry, hash=view.hash, seal=view.seal)
