"""What was asked of a campaign or decided about it, as records of the append-only ``audit`` table.

The records of a campaign form a chain: each names the hash of the one before it, so that none can be changed, left out
or put elsewhere without every later hash changing too. Some carry a seal, the service's signature over their hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.domain.campaigns import FINISHED
from shared.domain.ids import CampaignId

GATE = "gate"
"""Who speaks in verdicts; every entry of the gate carries the facts it was derived from."""

SERVICE = "service"
"""Who acts when neither an operator nor a gate does."""

SEALED_AFTER = frozenset({*FINISHED, "released"})

OVERTAKEN = "overtaken"
"""What is said where another step came first: an entry before it tells of something that was decided and not done."""

BEGINNING = "0" * 64
"""What the first record of a chain names in the place of a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What happened.

    Attributes:
        step: The step the campaign takes with it.
        at: Aware UTC.
        who: The operator; ``gate`` for verdicts, ``service`` for what follows by itself.
        what: ``create``, an operator's action, ``pass``, ``stop``, ``complete``, …
        before: State of the campaign before; empty for ``create``.
        after: State of the campaign after.
        detail: A sentence for people.
        facts: What it was derived from, as JSON: a verdict can be derived from them again.
    """

    campaign: CampaignId
    step: int
    at: datetime
    who: str
    what: str
    before: str
    after: str
    detail: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[object, ...]:
        """Entries of a campaign with the same identity tell of the same deed, and the first that came is kept."""
        said = "" if self.who in (GATE, SERVICE) else self.detail
        return self.step, self.what, self.who, self.facts.get("wave"), self.facts.get(OVERTAKEN), said

    @property
    def deed(self) -> str:
        """What was done, or was to be, and by whom."""
        return f"{self.what} by {self.who}"

    @property
    def is_verdict(self) -> bool:
        """Whether a gate decided it."""
        return self.who == GATE

    @property
    def needs_seal(self) -> bool:
        """Whether the chain up to it must be signed: at verdicts, where a campaign ends, where the fleet goes on."""
        return self.is_verdict or self.after in SEALED_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """An entry in its chain.

    Attributes:
        number: From 1, without gaps.
        previous: The hash of the record before it; ``BEGINNING`` for the first.
        hash: Lower-case hex SHA-256 over all of it but the seal.
        seal: The signature over campaign, number and hash as JSON; empty where there is none.
    """

    number: int
    previous: str
    entry: AuditEntry
    hash: str
    seal: str = ""


def next_record(chain: Sequence[AuditRecord], entry: AuditEntry) -> AuditRecord | None:
    """The record that appends the entry, not sealed yet; None where the chain has it already."""
    if any(record.entry.identity == entry.identity for record in chain):
        return None
    number, previous = (chain[-1].number + 1, chain[-1].hash) if chain else (1, BEGINNING)
    return AuditRecord(number=number, previous=previous, entry=entry, hash=digest_record(number, previous, entry))


def overtake(entry: AuditEntry, *, state: str, now: datetime) -> AuditEntry:
    """The entry that says that what another one tells of was not done.

    Args:
        state: Of the campaign as it is.
    """
    return AuditEntry(
        campaign=entry.campaign,
        step=entry.step,
        at=now,
        who=SERVICE,
        what=OVERTAKEN,
        before=state,
        after=state,
        detail=f"{entry.deed} was not done: another step came first",
        facts={OVERTAKEN: _told(entry)},
    )


def find_overtaken(chain: Sequence[AuditRecord]) -> list[int]:
    """The numbers of the records that tell of what was decided and not done."""
    said = [(each.entry.step, each.entry.facts.get(OVERTAKEN)) for each in chain if each.entry.what == OVERTAKEN]
    return [each.number for each in chain if (each.entry.step, _told(each.entry)) in said]


def _told(entry: AuditEntry) -> list[str]:
    """What tells an entry from others of its step, as JSON."""
    return [entry.what, entry.who, entry.detail]


def owes_seal(chain: Sequence[AuditRecord]) -> bool:
    """Whether a record that needs a seal has none, and no later record has one that would stand for it.

    A verdict must not wait for the key store: what could not be sealed then is sealed with the next record.
    """
    last_sealed = max((record.number for record in chain if record.seal), default=0)
    return any(record.entry.needs_seal and record.number > last_sealed for record in chain)


def digest_record(number: int, previous: str, entry: AuditEntry) -> str:
    """The hash of a record: SHA-256 over canonical JSON (keys sorted, no blanks, ASCII)."""
    fields = {
        "number": number,
        "previous": previous,
        "campaign": entry.campaign,
        "step": entry.step,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "who": entry.who,
        "what": entry.what,
        "before": entry.before,
        "after": entry.after,
        "detail": entry.detail,
        "facts": dict(entry.facts),
    }
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
