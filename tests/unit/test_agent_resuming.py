"""The journal's state machine: from any place, crashes and restarts included, it comes to an end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.journal_file import FileJournal
from agent.memory import End, Memory, OfferId, Pending, Phase
from agent.memory_document import MemoryUnreadable, read_memory, write_memory
from agent.resuming import Limits, Step, plan_next
from shared.domain.rollouts import RolloutState

LIMITS = Limits(installs=3, boots=3)
OFFER = OfferId(campaign="camp-1", wave=1, attempt=1, sequence=1)
PENDING = Pending(
    offer=OFFER,
    path="p",
    name="engine",
    version="2",
    kind="firmware",
    length_bytes=1,
    sha256="0" * 64,
    from_slot="a",
    to_slot="b",
)

counts = st.integers(min_value=0, max_value=5)
pendings = st.builds(
    lambda phase, installs, boots, boot_id: replace(
        PENDING, phase=phase, installs=installs, boots=boots, boot_id=boot_id
    ),
    st.sampled_from(Phase),
    counts,
    counts,
    st.sampled_from(["boot-0", "boot-1"]),
)


def take(step: Step, pending: Pending, active: str, boot: int) -> tuple[Pending | None, str, int]:
    """What a step does to journal, slots and boot; health checks never come to a verdict here."""
    match step:
        case Step.INSTALL:
            return replace(pending, installs=pending.installs + 1, phase=Phase.SWITCHING), active, boot
        case Step.SWITCH | Step.SWITCH_BACK:
            target = pending.to_slot if step is Step.SWITCH else pending.from_slot
            return replace(pending, boot_id=f"boot-{boot}", switches=pending.switches + 1), target, boot
        case Step.RESTART:
            return replace(pending, tried_boot_id=f"boot-{boot}"), active, boot + 1
        case Step.CHECK_HEALTH:
            return replace(pending, boots=pending.boots + 1), active, boot + 1
        case Step.ROLL_BACK:
            return (
                replace(pending, phase=Phase.ROLLING_BACK, boot_id=f"boot-{boot}", switches=0, tried_boot_id=""),
                active,
                boot,
            )
        case _:
            return None, active, boot


@given(pendings, st.sampled_from("ab"))
def test_every_journal_leads_to_an_end_with_the_old_slot_unless_health_confirms(pending: Pending, active: str) -> None:
    current: Pending | None = pending
    boot = 1
    for _ in range(40):
        step = plan_next(current, active_slot=active, boot_id=f"boot-{boot}", limits=LIMITS)
        if current is None or step is Step.AWAIT_OFFER:
            break
        current, active, boot = take(step, current, active, boot)
    assert step in (Step.REST, Step.AWAIT_OFFER)
    if pending.phase in (Phase.SWITCHING, Phase.ROLLING_BACK):
        assert active == "a"


@given(pendings, st.sampled_from("ab"), st.lists(st.booleans(), min_size=60, max_size=60))
def test_however_often_the_boot_loader_falls_back_the_rollout_ends(
    pending: Pending, active: str, falls_back: list[bool]
) -> None:
    current: Pending | None = pending
    boot, restarts = 1, 0
    for is_falling_back in falls_back:
        step = plan_next(current, active_slot=active, boot_id=f"boot-{boot}", limits=LIMITS)
        if current is None or step is Step.AWAIT_OFFER:
            break
        restarts += step is Step.RESTART
        current, active, boot = take(step, current, active, boot)
        if step is Step.RESTART and is_falling_back:
            active = "a" if active == "b" else "b"
    assert step in (Step.REST, Step.AWAIT_OFFER)
    assert restarts <= 2 * LIMITS.boots + 2


def test_a_slot_the_boot_loader_gave_up_is_not_tried_again() -> None:
    tried = replace(PENDING, phase=Phase.SWITCHING, boot_id="boot-1", switches=1, tried_boot_id="boot-1")

    assert plan_next(tried, active_slot="a", boot_id="boot-2", limits=LIMITS) is Step.END_NOT_BOOTED
    assert plan_next(tried, active_slot="a", boot_id="boot-1", limits=LIMITS) is Step.SWITCH


def test_no_health_is_judged_before_the_restart() -> None:
    switched = replace(PENDING, phase=Phase.SWITCHING, boot_id="boot-1")

    assert plan_next(switched, active_slot="a", boot_id="boot-1", limits=LIMITS) is Step.SWITCH
    assert plan_next(switched, active_slot="b", boot_id="boot-1", limits=LIMITS) is Step.RESTART
    assert plan_next(switched, active_slot="b", boot_id="boot-2", limits=LIMITS) is Step.CHECK_HEALTH


@given(pendings, counts)
def test_a_memory_is_read_back_as_it_was_written(pending: Pending, sequence: int) -> None:
    end = End(offer=OFFER, state=RolloutState.FAILED, code="install_failed", detail="é")
    memory = Memory(highest_sequence=sequence, pending=pending, end=end, unsent={"state": "failed"})

    assert read_memory(write_memory(memory)) == memory
    assert read_memory(write_memory(Memory())) == Memory()


def test_a_damaged_journal_costs_one_step_and_not_the_sequence(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal.json")
    journal.write(Memory(highest_sequence=7))
    journal.write(Memory(highest_sequence=7, pending=PENDING))
    journal.path.write_bytes(b"damaged")

    assert journal.read() == Memory(highest_sequence=7)
    journal.write(Memory(highest_sequence=8))
    assert (journal.read().highest_sequence, read_memory(journal.old.read_bytes()).highest_sequence) == (8, 7)


def test_fields_of_a_later_agent_are_passed_over() -> None:
    memory = Memory(highest_sequence=7, pending=PENDING)
    document = json.loads(write_memory(memory))
    document["pending"]["colour"] = document["mood"] = "red"

    assert read_memory(json.dumps(document).encode()) == memory


@given(st.binary(max_size=40) | st.sampled_from([b"5", b"[]", b"{}", b'{"format": 2}']))
def test_anything_else_in_its_place_is_told_from_a_journal(octets: bytes) -> None:
    try:
        read_memory(octets)
    except MemoryUnreadable as error:
        assert "journal" in error.message
    else:
        raise AssertionError(octets)
