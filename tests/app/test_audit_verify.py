"""``groundswell audit verify`` over the log of a real campaign, whole and tampered with in every way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.__main__ import main
from cli.audit_log import Fault, LogBroken, check_log, read_log
from cli.signing_keys import write_public_key
from shared.domain.audit import BEGINNING, AuditRecord, digest_record
from shared.domain.campaigns import CampaignState
from shared.domain.rollouts import RolloutState
from shared.trust.audit_seals import seal_record
from shared.trust.signers import KeyRole
from shared.wire.http_audit import view_audit_record
from tests.support.campaign_world import CampaignWorld, fleet
from tests.support.memory_keys import MemoryKeyRing

C, S = CampaignState, RolloutState
DEEDS = ["create", "stop", "resume", "pass", "pause", "resume", "pass", "complete"]
FIELDS = ["campaign", "step", "who", "what", "before", "after", "detail", "facts", "previous", "hash"]
SEALED = [2, 4, 7, 8]


@cache
def told() -> tuple[CampaignWorld, list[bytes]]:
    """A campaign that stopped, went on, was paused and ended; its exported log."""
    bad: set[str] = set()
    world = CampaignWorld(fleet(20), outcome=lambda device: S.FAILED if device in bad else S.SUCCEEDED)
    campaign = world.post(waves=[{"count": 5}, {"rest": True}])
    world.run(lambda: bool(world.starts))
    bad.add(world.manifests.read_manifest(campaign.id)[0])
    world.run_until(campaign.id, C.PAUSED)
    world.act(campaign.id, "resume")
    world.run(lambda: len(world.starts) == 2)
    world.act(campaign.id, "pause")
    world.act(campaign.id, "resume")
    world.run_until(campaign.id, C.COMPLETED)
    return world, world.export_audit(campaign.id)


def check(lines: list[bytes], *, known: AuditRecord | None = None) -> None:
    check_log(list(read_log(lines)), told()[0].keys.public_keys(KeyRole.SPECS), known=known)


def records() -> list[AuditRecord]:
    return list(read_log(told()[1]))


def lines_of(chain: list[AuditRecord]) -> list[bytes]:
    return [view_audit_record(record).model_dump_json().encode() for record in chain]


def hashed_anew(chain: list[AuditRecord]) -> list[AuditRecord]:
    """The chain as one who can write the table, and has no key, makes it whole again; seals stay as they are."""
    made: list[AuditRecord] = []
    for number, record in enumerate(chain, start=1):
        previous = made[-1].hash if made else BEGINNING
        fits = digest_record(number, previous, record.entry)
        made.append(replace(record, number=number, previous=previous, hash=fits))
    return made


def broken(lines: list[bytes], **options: Any) -> tuple[int, Fault]:
    with pytest.raises(LogBroken) as caught:
        check(lines, **options)
    return caught.value.number, caught.value.fault


def test_a_log_as_it_was_written_holds() -> None:
    found = records()
    assert [record.entry.what for record in found] == DEEDS
    assert [record.number for record in found if record.seal] == SEALED
    check(told()[1])
    checked = check_log(found, told()[0].keys.public_keys(KeyRole.SPECS))
    assert (checked.verdicts, checked.head) == (3, found[-1])


def _other(value: Any) -> Any:
    match value:
        case str():
            return f"{value}x" if value else "x"
        case int():
            return value + 1
        case dict():
            return {**value, "extra": 1}
    raise TypeError(value)


@given(place=st.integers(0, len(DEEDS) - 1), field=st.sampled_from(FIELDS))
def test_any_field_changed_in_any_record_is_found_there(place: int, field: str) -> None:
    lines = list(told()[1])
    document = json.loads(lines[place])
    lines[place] = json.dumps(document | {field: _other(document[field])}).encode()
    assert broken(lines) == (place + 1, Fault.CHANGED)


@given(place=st.integers(0, len(DEEDS) - 1))
def test_another_time_is_found(place: int) -> None:
    lines = list(told()[1])
    document = json.loads(lines[place])
    lines[place] = json.dumps(document | {"at": document["at"].replace("2026", "2025")}).encode()
    assert broken(lines) == (place + 1, Fault.CHANGED)


@given(place=st.integers(0, len(DEEDS) - 2))
def test_any_record_left_out_is_missed(place: int) -> None:
    lines = [line for number, line in enumerate(told()[1]) if number != place]
    assert broken(lines) == (place + 1, Fault.MISSING)


@given(order=st.permutations(range(len(DEEDS))))
def test_any_other_order_is_found_where_it_begins(order: list[int]) -> None:
    lines = [told()[1][place] for place in order]
    first = next((number for number, place in enumerate(order, start=1) if place != number - 1), None)
    if first is None:
        check(lines)
    else:
        assert broken(lines) == (first, Fault.REORDERED)


@given(place=st.integers(0, len(DEEDS) - 1))
def test_a_record_that_comes_twice_is_found(place: int) -> None:
    lines = told()[1]
    assert broken([*lines[: place + 1], *lines[place:]]) == (place + 2, Fault.REORDERED)


@given(place=st.integers(0, len(DEEDS) - 1), text=st.text(max_size=20))
def test_a_change_hashed_anew_does_not_get_past_the_next_seal(place: int, text: str) -> None:
    chain = records()
    if chain[place].entry.detail == text:
        return
    chain[place] = replace(chain[place], entry=replace(chain[place].entry, detail=text))
    next_seal = next(number for number in SEALED if number > place)
    assert broken(lines_of(hashed_anew(chain))) == (next_seal, Fault.SEAL_WRONG)


@given(place=st.integers(0, len(DEEDS) - 2))
def test_a_record_left_out_and_hashed_anew_does_not_get_past_the_next_seal(place: int) -> None:
    chain = [record for number, record in enumerate(records()) if number != place]
    number, fault = broken(lines_of(hashed_anew(chain)))
    assert fault is Fault.SEAL_WRONG
    assert number in [record.number for record in hashed_anew(chain) if record.seal]


def test_a_chain_without_its_seals_is_not_believed() -> None:
    chain = [replace(record, seal="") for record in hashed_anew(records())]
    assert broken(lines_of(chain)) == (2, Fault.UNSEALED)


def test_a_chain_sealed_by_somebody_else_is_not_believed() -> None:
    stranger = MemoryKeyRing().add(KeyRole.SPECS)
    chain = [replace(record, seal=seal_record(record, stranger)) for record in records()]
    assert broken(lines_of(chain)) == (1, Fault.SEAL_WRONG)


@given(left=st.integers(1, len(DEEDS) - 1))
def test_a_log_cut_off_is_found_by_a_head_kept_earlier(left: int) -> None:
    """Without one it is a log like any other, where its last verdict is sealed: nobody can see what is not there."""
    assert broken(told()[1][:left], known=records()[-1]) == (left + 1, Fault.TRUNCATED)


def test_a_log_that_went_on_after_the_known_head_holds() -> None:
    for number in SEALED:
        check(told()[1], known=records()[number - 1])


def test_a_log_that_contradicts_the_known_head_is_found() -> None:
    """A thief of the key rewrites history and seals it; what was seen earlier says otherwise."""
    signer = told()[0].keys.newest(KeyRole.SPECS)
    chain = records()
    chain[2] = replace(chain[2], entry=replace(chain[2].entry, who="nobody"))
    forged = [replace(one, seal=seal_record(one, signer) if one.seal else "") for one in hashed_anew(chain)]
    check(lines_of(forged))
    assert broken(lines_of(forged), known=records()[3]) == (4, Fault.CHANGED)


def sealed_with(change: Callable[[dict[str, Any]], None]) -> list[bytes]:
    """The log with other facts in its first verdict, hashed and sealed by somebody who has the key."""
    signer = told()[0].keys.newest(KeyRole.SPECS)
    chain = records()
    facts = json.loads(json.dumps(dict(chain[1].entry.facts)))
    change(facts)
    chain[1] = replace(chain[1], entry=replace(chain[1].entry, facts=facts))
    return lines_of([replace(one, seal=seal_record(one, signer) if one.seal else "") for one in hashed_anew(chain)])


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts["counters"]["by_state"].update({"failed": 0}),
        lambda facts: facts["gate"].update({"failure_percent": 50.0, "success_percent": 50.0}),
        lambda facts: facts["verdict"].update({"decision": "pass"}),
        lambda facts: facts["verdict"].update({"reason": "because"}),
        lambda facts: facts["verdict"].update({"counted": 4}),
        lambda facts: facts.pop("acknowledged"),
        lambda facts: facts.clear(),
        lambda facts: facts["counters"]["by_state"].update({"flying": 1}),
    ],
)
def test_a_verdict_that_does_not_follow_from_its_facts_is_found(change: Callable[[dict[str, Any]], None]) -> None:
    """Even where the service itself lied: the seal is good, the reasoning is not."""
    assert broken(sealed_with(change)) == (2, Fault.NOT_REPRODUCIBLE)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"number": 3}', b"\xff"])
def test_a_line_that_holds_no_record_is_named(line: bytes) -> None:
    lines = list(told()[1])
    lines[2] = line
    assert broken(lines) == (3, Fault.UNREADABLE)


def test_an_empty_log_is_no_log() -> None:
    assert broken([]) == (1, Fault.MISSING)


def test_the_command_says_what_holds_and_what_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world, lines = told()
    key, log, head = tmp_path / "specs.pub", tmp_path / "log", tmp_path / "head"
    key.write_bytes(write_public_key(world.keys.public_keys(KeyRole.SPECS)[0]))
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    verify = ["audit", "verify", str(log), "--key", str(key)]
    assert main([*verify, "--write-head", str(head)]) == 0
    said = capsys.readouterr().out
    assert "8 records are whole and in order, 3 verdicts follow from their facts" in said
    assert "all of them are sealed" in said

    log.write_bytes(b"".join(line + b"\n" for line in lines[:6]))
    assert main(verify) == 0
    assert "sealed up to record 4" in capsys.readouterr().out
    assert main([*verify, "--head", str(head)]) == 1
    assert "record 7: truncated" in capsys.readouterr().err
