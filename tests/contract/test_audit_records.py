"""What every table of audit records does, and what the desk makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from azure.data.tables import TableClient

from shared.adapters.azure_audit import AzureAuditRecords
from shared.domain.audit import BEGINNING, AuditEntry, AuditRecord, digest_record, next_record
from shared.domain.errors import DomainError
from shared.domain.ids import CampaignId
from shared.handlers.audit_desk import AuditDesk
from shared.ports.campaigns import AuditRecords
from shared.ports.errors import AlreadyExists
from shared.trust.audit_seals import is_sealed
from shared.trust.signers import KeyRole
from tests.support.memory_campaigns import MemoryAuditRecords
from tests.support.memory_keys import MemoryKeyRing
from tests.support.tables import new_table

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)
CAMPAIGN = CampaignId("c1-x")


@pytest.fixture
def table(storage_connection: str) -> Iterator[TableClient]:
    with new_table(storage_connection, "audit") as table:
        yield table


@pytest.fixture(params=["memory", "azure"])
def records(request: pytest.FixtureRequest) -> AuditRecords:
    return MemoryAuditRecords() if request.param == "memory" else AzureAuditRecords(request.getfixturevalue("table"))


@pytest.fixture
def keys() -> MemoryKeyRing:
    ring = MemoryKeyRing()
    ring.add(KeyRole.SPECS)
    return ring


def entry(step: int, who: str, what: str, detail: str = "", **changes: object) -> AuditEntry:
    made = AuditEntry(
        campaign=CAMPAIGN, step=step, at=NOW, who=who, what=what, before="running", after="paused", detail=detail
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def chain_of(records: AuditRecords, *entries: AuditEntry) -> list[AuditRecord]:
    chain: list[AuditRecord] = []
    for one in entries:
        record = next_record(chain, one)
        assert record is not None
        chain.append(record)
        records.create(record)
    return chain


def test_records_are_read_back_as_they_were_written_and_their_hashes_still_fit(records: AuditRecords) -> None:
    facts = {"gate": {"failure_percent": 2.5, "failure_count": None}, "counters": {"by_state": {"failed": 1}}}
    odd = entry(2, "grace/#?'", "stop", "50 % of Zürich\n\N{FIRE}", facts=facts)
    chain = chain_of(records, entry(1, "ada", "create", before=""), odd)
    found = list(records.read(CAMPAIGN))
    assert found == chain
    assert [digest_record(one.number, one.previous, one.entry) for one in found] == [one.hash for one in found]


def test_a_number_is_taken_once(records: AuditRecords) -> None:
    [first] = chain_of(records, entry(1, "ada", "create"))
    with pytest.raises(AlreadyExists):
        records.create(replace(first, entry=entry(1, "eve", "create")))
    assert list(records.read(CAMPAIGN)) == [first]


def test_records_come_in_the_order_of_their_numbers_and_page_by_page(records: AuditRecords) -> None:
    chain = chain_of(records, *(entry(step, "ada", "pause") for step in range(1, 13)))
    found, continuation = [], ""
    for _ in range(4):
        page = records.read_page(CAMPAIGN, size=5, continuation=continuation)
        found += page.items
        if not (continuation := page.continuation):
            break
    assert found == chain
    assert [record.number for record in found] == list(range(1, 13))
    assert list(records.read(CampaignId("c1"))) == []


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "٣", "9" * 11])
def test_a_continuation_nobody_gave_out_is_refused(records: AuditRecords, text: str) -> None:
    with pytest.raises(DomainError, match="continuation"):
        records.read_page(CAMPAIGN, size=5, continuation=text)


def test_entries_are_chained_in_the_order_they_come(records: AuditRecords, keys: MemoryKeyRing) -> None:
    desk = AuditDesk(records, keys)
    entries = [entry(2, "ada", "create"), entry(9, "grace", "pause"), entry(5, "late", "resume")]
    for one in entries:
        desk.append(one)
    assert list(desk.read(CAMPAIGN)) == entries
    found = list(records.read(CAMPAIGN))
    assert [record.previous for record in found] == [BEGINNING, found[0].hash, found[1].hash]


def test_an_entry_is_kept_once_and_never_changed(records: AuditRecords, keys: MemoryKeyRing) -> None:
    desk = AuditDesk(records, keys)
    for detail, who in [
        ("first", "gate"),
        ("second", "gate"),
        ("third", "grace"),
        ("third", "grace"),
        ("fourth", "gate"),
    ]:
        desk.append(entry(2, who, "pause", detail))
    assert [found.detail for found in desk.read(CAMPAIGN)] == ["first", "third"]


def test_two_deeds_of_one_person_in_one_step_are_told_apart(records: AuditRecords, keys: MemoryKeyRing) -> None:
    """The first died before its change: skipping another wave instead is no repeat of it."""
    desk = AuditDesk(records, keys)
    for detail in ("wave 2", "wave 3", "wave 2"):
        desk.append(entry(2, "ada", "skip-wave", detail))
    assert [found.detail for found in desk.read(CAMPAIGN)] == ["wave 2", "wave 3"]


def test_verdicts_over_two_waves_in_one_step_are_two_deeds(records: AuditRecords, keys: MemoryKeyRing) -> None:
    """The process may die between the first and its change, and the step then be taken for another wave."""
    desk = AuditDesk(records, keys)
    for wave in (1, 2, 1):
        desk.append(entry(7, "gate", "stop", facts={"wave": wave}))
    assert [found.facts["wave"] for found in desk.read(CAMPAIGN)] == [1, 2]


def test_many_writers_make_one_chain_without_gaps(records: AuditRecords, keys: MemoryKeyRing) -> None:
    """Three tell of one deed and three of deeds of their own, all at the same moment."""
    deeds = [entry(2, "ada", "pause"), *(entry(2, f"person {number}", "pause") for number in range(3))]
    with ThreadPoolExecutor(6) as writers:
        list(writers.map(AuditDesk(records, keys).append, [deeds[0], deeds[0], *deeds]))
    found = list(records.read(CAMPAIGN))
    assert sorted(record.entry.who for record in found) == ["ada", "person 0", "person 1", "person 2"]
    assert [record.number for record in found] == [1, 2, 3, 4]
    assert [record.previous for record in found[1:]] == [record.hash for record in found[:-1]]


def test_verdicts_and_ends_are_sealed(records: AuditRecords, keys: MemoryKeyRing) -> None:
    desk = AuditDesk(records, keys)
    for one in (
        entry(1, "ada", "create"),
        entry(2, "gate", "stop"),
        entry(3, "grace", "resume"),
        entry(4, "service", "complete", after="completed"),
    ):
        desk.append(one)
    found = list(records.read(CAMPAIGN))
    assert [bool(record.seal) for record in found] == [False, True, False, True]
    public = keys.public_keys(KeyRole.SPECS)
    assert is_sealed(found[1], public)
    assert not is_sealed(replace(found[1], number=3), public)
    assert not is_sealed(found[1], [MemoryKeyRing().add(KeyRole.SPECS).public_key])


def test_a_stop_does_not_wait_for_the_key_store_and_is_sealed_with_what_follows(records: AuditRecords) -> None:
    without, ring = MemoryKeyRing(), MemoryKeyRing()
    ring.add(KeyRole.SPECS)
    AuditDesk(records, without).append(entry(2, "gate", "stop"))
    assert [record.seal for record in records.read(CAMPAIGN)] == [""]
    AuditDesk(records, ring).append(entry(3, "grace", "resume"))
    AuditDesk(records, ring).append(entry(4, "grace", "pause"))
    assert [bool(record.seal) for record in records.read(CAMPAIGN)] == [False, True, False]
