"""Faults for twin events."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from emulator.faults import Fault, FaultKind, TwinFaults, merge_changes, read_fault
from emulator.hub import EventKind, HubEvent


def event(device_id: str, number: int) -> HubEvent:
    return HubEvent(
        kind=EventKind.TWIN_CHANGE,
        device_id=device_id,
        body={"version": number, "properties": {"reported": {f"p{number}": number, "$version": number}}},
        application_properties={},
        system_properties={},
        enqueued_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


async def come_out(kinds: list[Fault], events: list[HubEvent], wait_s: float = 0.0) -> list[tuple[str, int]]:
    """What comes out for these events, as (device, version)."""
    out: list[HubEvent] = []
    faults = TwinFaults(out.append)
    for fault in kinds:
        faults.set(fault, seed=1)
    for each in events:
        faults.accept(each)
    await asyncio.sleep(wait_s)
    faults.clear()
    assert faults.held == 0
    return [(each.device_id, each.body["version"]) for each in out]


def run(kinds: list[Fault], events: list[HubEvent], wait_s: float = 0.0) -> list[tuple[str, int]]:
    return asyncio.run(come_out(kinds, events, wait_s))


THREE = [event("a", 1), event("a", 2), event("b", 3)]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind=FaultKind.DROP, count=1), [("a", 2), ("b", 3)]),
        (Fault(kind=FaultKind.DUPLICATE, count=1), [("a", 1), ("a", 1), ("a", 2), ("b", 3)]),
        (Fault(kind=FaultKind.REORDER, count=1), [("a", 2), ("a", 1), ("b", 3)]),
        (Fault(kind=FaultKind.MERGE, count=1), [("b", 3), ("a", 2)]),
        (Fault(kind=FaultKind.DROP, probability=0), [("a", 1), ("a", 2), ("b", 3)]),
        (Fault(kind=FaultKind.DROP, count=0), [("a", 1), ("a", 2), ("b", 3)]),
    ],
)
def test_a_fault_spoils_the_events_it_chooses(fault: Fault, expected: list[tuple[str, int]]) -> None:
    assert run([fault], THREE) == expected


def test_without_faults_everything_comes_out_at_once() -> None:
    assert run([], THREE) == [("a", 1), ("a", 2), ("b", 3)]


def test_a_delayed_event_comes_after_those_behind_it() -> None:
    delay = Fault(kind=FaultKind.DELAY, count=1, hold_s=0.02)
    assert run([delay], THREE, wait_s=0.1) == [("a", 2), ("b", 3), ("a", 1)]


def test_a_held_event_comes_out_even_when_no_other_follows() -> None:
    for kind in (FaultKind.REORDER, FaultKind.MERGE):
        assert run([Fault(kind=kind, hold_s=0.01, count=1)], [event("a", 1)], wait_s=0.1) == [("a", 1)]


def test_a_merged_event_holds_both_changes_and_the_later_versions() -> None:
    merged = merge_changes(THREE[0].body, THREE[1].body)
    assert merged["version"] == 2
    assert merged["properties"]["reported"] == {"p1": 1, "p2": 2, "$version": 2}
    assert THREE[0].body["properties"]["reported"] == {"p1": 1, "$version": 1}


def test_a_seed_makes_the_choices_repeatable() -> None:
    many = [event("a", number) for number in range(50)]

    def drops() -> list[Any]:
        return run([Fault(kind=FaultKind.DROP, probability=0.5)], many)

    assert drops() == drops()
    assert 5 < len(drops()) < 45


@pytest.mark.parametrize("fields", [{}, {"kind": "x"}, {"kind": "drop", "probability": 2}, {"kind": "drop", "y": 1}])
def test_a_malformed_fault_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        read_fault(fields)
