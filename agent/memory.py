"""What an agent must not forget: one document, written whole and durably at every step.

Because the journal of the pending rollout, the highest sequence and the report not yet accepted stand in the same
document, no crash can leave a step taken whose report is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from shared.domain.offers import Offer
from shared.domain.packages import Package
from shared.domain.rollouts import RolloutState


class Phase(StrEnum):
    """How far the pending rollout is. The journal names the step about to be taken, never the one just done."""

    DOWNLOADING = "downloading"
    INSTALLING = "installing"
    SWITCHING = "switching"
    ROLLING_BACK = "rolling_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferId:
    """Which offer a rollout or a report answers."""

    campaign: str
    wave: int
    attempt: int
    sequence: int

    @classmethod
    def of(cls, offer: Offer) -> OfferId:
        """The identity of an offer."""
        return cls(campaign=offer.campaign, wave=offer.wave, attempt=offer.attempt, sequence=offer.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A verified rollout under way.

    Attributes:
        path: The package's target path in the index.
        from_slot: The slot that was active when it began, which a rollback returns to.
        to_slot: The slot it is installed into.
        expires: When the intent ends, ISO 8601; empty in a journal of an agent that did not note it.
        windows: When it may be installed, as in the intent; empty for always.
        installs: How often installing was begun.
        boots: How often the new slot was started without having been confirmed.
        switches: How often this phase has made its slot the active one, or was about to.
        boot_id: The boot in which the device was told to restart; another one means that it did.
        tried_boot_id: The boot that was left by a restart into this phase's slot; empty before that.
        code: Why it is being rolled back; empty until then.
        detail: The same for people.
    """

    offer: OfferId
    path: str
    name: str
    version: str
    kind: str
    length_bytes: int
    sha256: str
    phase: Phase = Phase.DOWNLOADING
    from_slot: str
    to_slot: str
    expires: str = ""
    windows: tuple[Mapping[str, Any], ...] = ()
    installs: int = 0
    boots: int = 0
    switches: int = 0
    boot_id: str = ""
    tried_boot_id: str = ""
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How the latest rollout ended, kept so that the same offer is answered and never installed again."""

    offer: OfferId
    state: RolloutState
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything the agent remembers.

    Attributes:
        highest_sequence: The highest sequence of an offer that proved authentic; lower ones are old news.
        answered_sequence: The sequence of the offer that was last answered with an end.
        answered_version: ``$version`` of the desired properties that were last answered with an end.
        told: What the device was said to run when the latest rollout ended; None before the first end.
        unsent: The newest report, until the hub has accepted it.
        device: The device's id, which all of this is about; empty in a journal of an agent that did not note it.
        marks: Highest sequences of the ids it had before, so that coming back to one brings no old offer back.
    """

    highest_sequence: int = -1
    answered_sequence: int = -1
    answered_version: int = -1
    pending: Pending | None = None
    end: End | None = None
    told: Mapping[str, str] | None = None
    unsent: Mapping[str, Any] | None = None
    device: str = ""
    marks: Mapping[str, int] = field(default_factory=dict)


def become(memory: Memory, device: str) -> Memory:
    """The memory of the device under its present id.

    Sequences rise with the claims of one id: another one begins anew, and what was offered to the former one is over.
    A switch under way is not; it must have come to its end before.
    """
    if memory.device in ("", device) or _is_switching(memory):
        return memory if memory.device else replace(memory, device=device)
    marks = {**memory.marks, memory.device: memory.highest_sequence}
    mark = marks.pop(device, -1)
    return Memory(highest_sequence=mark, device=device, marks=marks)


def _is_switching(memory: Memory) -> bool:
    return memory.pending is not None and memory.pending.phase in (Phase.SWITCHING, Phase.ROLLING_BACK)


def begin(
    memory: Memory,
    offer: Offer,
    package: Package,
    *,
    slots: tuple[str, str],
    expires: str = "",
    windows: tuple[Mapping[str, Any], ...] = (),
) -> Memory:
    """The memory once an offer is accepted; ``slots`` are the active and the inactive one.

    An offer whose rollout is already under way keeps its journal, but for the slots, which may have changed since.
    """
    identity = OfferId.of(offer)
    if memory.pending is not None and memory.pending.offer == identity:
        return take_slots(memory, slots)
    pending = Pending(
        offer=identity,
        path=package.path,
        name=package.name,
        version=package.version.text,
        kind=package.kind.value,
        length_bytes=package.length_bytes,
        sha256=package.sha256,
        from_slot=slots[0],
        to_slot=slots[1],
        expires=expires,
        windows=windows,
    )
    return replace(raise_sequence(memory, offer.sequence), pending=pending, end=None)


def take_slots(memory: Memory, slots: tuple[str, str]) -> Memory:
    """The memory with a rollout from the active slot into the inactive one; the same object if it is so already."""
    pending = _pending(memory)
    if (pending.from_slot, pending.to_slot) == slots:
        return memory
    return replace(memory, pending=replace(pending, from_slot=slots[0], to_slot=slots[1]))


def raise_sequence(memory: Memory, sequence: int) -> Memory:
    """The memory with the sequence of an authentic offer taken note of."""
    return replace(memory, highest_sequence=max(memory.highest_sequence, sequence))


def enter(memory: Memory, phase: Phase, *, boot_id: str = "", code: str = "", detail: str = "") -> Memory:
    """The memory with the pending rollout in another phase."""
    pending = replace(_pending(memory), phase=phase, boot_id=boot_id, switches=0, tried_boot_id="")
    return replace(memory, pending=replace(pending, code=code, detail=detail) if code else pending)


def count_install(memory: Memory) -> Memory:
    """The memory with one more install begun."""
    pending = _pending(memory)
    return replace(memory, pending=replace(pending, installs=pending.installs + 1))


def count_boot(memory: Memory) -> Memory:
    """The memory with one more unconfirmed start of the new slot."""
    pending = _pending(memory)
    return replace(memory, pending=replace(pending, boots=pending.boots + 1))


def count_switch(memory: Memory, boot_id: str) -> Memory:
    """The memory with a switch about to be made in that boot."""
    pending = _pending(memory)
    return replace(memory, pending=replace(pending, switches=pending.switches + 1, boot_id=boot_id))


def note_restart(memory: Memory, boot_id: str) -> Memory:
    """The memory with a restart into the switched slot about to leave that boot."""
    return replace(memory, pending=replace(_pending(memory), tried_boot_id=boot_id))


def note_answer(memory: Memory, sequence: int, desired_version: int) -> Memory:
    """The memory with that offer answered, as it stood in that ``$version`` of the desired properties."""
    return replace(memory, answered_sequence=sequence, answered_version=desired_version)


def finish(memory: Memory, end: End) -> Memory:
    """The memory after a rollout ended."""
    return replace(raise_sequence(memory, end.offer.sequence), pending=None, end=end)


def withdraw(memory: Memory) -> Memory:
    """The memory after the offer was taken back: nothing is pending, and nothing ended."""
    return replace(memory, pending=None)


def _pending(memory: Memory) -> Pending:
    if memory.pending is None:
        raise ValueError("no rollout is pending")
    return memory.pending
