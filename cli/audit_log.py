"""Checking an exported audit log offline: the chain, its seals, and every verdict derived again from its facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from securesystemslib.signer import Key

from shared.domain.audit import BEGINNING, AuditEntry, AuditRecord, digest_record, find_overtaken
from shared.domain.errors import DomainError
from shared.trust.audit_seals import is_sealed
from shared.wire.audit_verdicts import derive_verdict, read_verdict_facts
from shared.wire.http_audit import read_audit_line


class Fault(StrEnum):
    """What is wrong with a log."""

    UNREADABLE = "unreadable"
    MISSING = "missing"
    REORDERED = "reordered"
    CHANGED = "changed"
    SEAL_WRONG = "seal_wrong"
    NOT_REPRODUCIBLE = "not_reproducible"
    TRUNCATED = "truncated"
    UNSEALED = "unsealed"


class LogBroken(DomainError):
    """The first thing that is wrong with a log.

    Attributes:
        number: The record it was found at.
    """

    def __init__(self, number: int, fault: Fault, message: str) -> None:
        super().__init__(f"record {number}: {fault}: {message}", code=fault)
        self.number = number
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A log in which nothing is wrong.

    Attributes:
        verdicts: How many were derived again.
        overtaken: Numbers of the records that tell of what was decided and not done, because another step came first.
        head: The last sealed record; None where nothing is sealed yet. What comes behind it is chained only.
    """

    records: Sequence[AuditRecord]
    verdicts: int
    overtaken: Sequence[int]
    head: AuditRecord | None


def read_log(lines: Iterable[bytes]) -> Iterator[AuditRecord]:
    """The records in the lines of a file.

    Raises:
        LogBroken: A line holds no record.
    """
    for number, line in enumerate(lines, start=1):
        try:
            yield read_audit_line(line)
        except DomainError as error:
            raise LogBroken(number, Fault.UNREADABLE, error.message) from error


def check_log(records: Sequence[AuditRecord], keys: Sequence[Key], *, known: AuditRecord | None = None) -> Checked:
    """The log, if everything in it holds.

    Args:
        keys: The public keys that may have sealed it.
        known: A sealed record seen earlier, which the log must still hold: without one, nobody can tell a log whose
            last records were cut off from one that never had them.

    Raises:
        LogBroken: Something is wrong; the first of it by record number.
    """
    if not records:
        raise LogBroken(1, Fault.MISSING, "the log is empty")
    if known is not None and not is_sealed(known, keys):
        raise LogBroken(known.number, Fault.SEAL_WRONG, "the known head is not sealed by any of these keys")
    numbers = [record.number for record in records]
    previous, campaign = BEGINNING, records[0].entry.campaign
    for number, record in enumerate(records, start=1):
        _check_place(number, record, numbers[number:])
        _check_content(record, previous, campaign)
        _check_seal(record, keys, known)
        if record.entry.is_verdict:
            _check_verdict(number, record.entry)
        previous = record.hash
    _check_end(records, known)
    sealed = [record for record in records if record.seal]
    verdicts = sum(record.entry.is_verdict for record in records)
    head = sealed[-1] if sealed else None
    return Checked(records=records, verdicts=verdicts, overtaken=find_overtaken(records), head=head)


def _check_place(number: int, record: AuditRecord, later: Sequence[int]) -> None:
    if record.number == number:
        return
    if number in later or record.number < number:
        raise LogBroken(number, Fault.REORDERED, f"record {record.number} stands in its place")
    raise LogBroken(number, Fault.MISSING, f"record {record.number} follows on record {number - 1}")


def _check_content(record: AuditRecord, previous: str, campaign: str) -> None:
    if record.entry.campaign != campaign:
        raise LogBroken(record.number, Fault.CHANGED, f"it is about {record.entry.campaign}, not {campaign}")
    if digest_record(record.number, record.previous, record.entry) != record.hash:
        raise LogBroken(record.number, Fault.CHANGED, "it is not what its hash was made of")
    if record.previous != previous:
        raise LogBroken(record.number, Fault.CHANGED, "the record before it was changed and hashed anew")


def _check_seal(record: AuditRecord, keys: Sequence[Key], known: AuditRecord | None) -> None:
    if record.seal and not is_sealed(record, keys):
        raise LogBroken(
            record.number,
            Fault.SEAL_WRONG,
            "none of these keys sealed it: it or a record before it was changed and hashed anew, or a key is missing",
        )
    if known is not None and record.number == known.number and record.hash != known.hash:
        raise LogBroken(record.number, Fault.CHANGED, "the known head says otherwise")


def _check_verdict(number: int, entry: AuditEntry) -> None:
    try:
        facts = read_verdict_facts(entry.facts)
    except DomainError as error:
        raise LogBroken(number, Fault.NOT_REPRODUCIBLE, f"its facts cannot be read: {error.message}") from error
    said, derived = facts.verdict, derive_verdict(facts)
    if said != derived or entry.what != derived.decision:
        words = f"it says {entry.what}: {said.reason}; from its facts follows {derived.decision}: {derived.reason}"
        raise LogBroken(number, Fault.NOT_REPRODUCIBLE, words)


def _check_end(records: Sequence[AuditRecord], known: AuditRecord | None) -> None:
    last = records[-1].number
    if known is not None and last < known.number:
        raise LogBroken(last + 1, Fault.TRUNCATED, f"the log ends, but record {known.number} was sealed")
    last_sealed = max((record.number for record in records if record.seal), default=0)
    for record in records:
        if record.entry.needs_seal and record.number > last_sealed:
            raise LogBroken(record.number, Fault.UNSEALED, "no seal stands for it, neither its own nor a later one")
