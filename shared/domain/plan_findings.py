"""What looking at the target devices found: who holds them, and what they run already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.ids import CampaignId, DeviceId

MAX_NAMED = 20
"""Conflicts that are named; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A target that another campaign holds."""

    device: DeviceId
    held_by: CampaignId


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found out about the devices looked at so far.

    Attributes:
        looked_at: How many that were.
        held: How many of them other campaigns hold.
        by_wave: Wave number to how many of its devices are held, and how many of the others are current.
        named: Some of the conflicts, the first in the campaign's order.
        current: How many of them run the version already, as far as the ``devices`` table knows.
    """

    looked_at: int = 0
    held: int = 0
    by_wave: tuple[tuple[int, int, int], ...] = ()
    named: tuple[Conflict, ...] = ()
    current: int = 0

    def in_wave(self, wave: int) -> tuple[int, int]:
        """How many devices of a wave are held, and how many of the others are current."""
        return next(((held, current) for number, held, current in self.by_wave if number == wave), (0, 0))

    def with_devices(self, wave: int, looked_at: int, conflicts: Sequence[Conflict], current: int) -> Findings:
        """The findings once so many devices more of a wave were looked at."""
        known = {number: (held, current) for number, held, current in self.by_wave}
        held_before, current_before = self.in_wave(wave)
        known[wave] = held_before + len(conflicts), current_before + current
        return Findings(
            looked_at=self.looked_at + looked_at,
            held=self.held + len(conflicts),
            by_wave=tuple((number, *counts) for number, counts in sorted(known.items())),
            named=(*self.named, *conflicts)[:MAX_NAMED],
            current=self.current + current,
        )
