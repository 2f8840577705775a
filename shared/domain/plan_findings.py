"""What looking at the target devices found: who holds them, and what they run already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from shared.domain.hearsay import Hearsay
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
        by_variant: Of several packages: for each, how many of the devices it is for.
        unknown_hardware: Of several packages: devices whose hardware neither the table nor the listing says; only their
            twins may.
        newer: How many of them run a higher version, as far as the ``devices`` table knows.
        unfit_by_wave: Wave number to the devices that none of several packages is for.
        heard: Of devices that were named one by one: what was heard of them.
    """

    looked_at: int = 0
    held: int = 0
    by_wave: tuple[tuple[int, int, int], ...] = ()
    named: tuple[Conflict, ...] = ()
    current: int = 0
    by_variant: tuple[int, ...] = ()
    unknown_hardware: int = 0
    unfit_by_wave: tuple[tuple[int, int], ...] = ()
    newer: int = 0
    heard: Hearsay = field(default_factory=Hearsay)

    @property
    def no_package(self) -> int:
        """How many devices none of several packages is for."""
        return sum(unfit for _, unfit in self.unfit_by_wave)

    @property
    def asked(self) -> int:
        """How many twins are read while the campaign is planned: of devices whose hardware nobody knows, and of those
        that are current as far as the table knows."""
        return self.unknown_hardware + self.current

    def unfit_in_wave(self, wave: int) -> int:
        """How many devices of a wave none of several packages is for."""
        return dict(self.unfit_by_wave).get(wave, 0)

    def with_variants(self, wave: int, chosen: Sequence[int], unknown: int, unfit: int) -> Findings:
        """The findings once so many devices more of a wave were looked at; ``chosen`` counts by package."""
        before = self.by_variant or (0,) * len(chosen)
        return replace(
            self,
            by_variant=tuple(one + more for one, more in zip(before, chosen, strict=True)),
            unknown_hardware=self.unknown_hardware + unknown,
            unfit_by_wave=tuple(sorted({**dict(self.unfit_by_wave), wave: self.unfit_in_wave(wave) + unfit}.items())),
        )

    def in_wave(self, wave: int) -> tuple[int, int]:
        """How many devices of a wave are held, and how many of the others are current."""
        return next(((held, current) for number, held, current in self.by_wave if number == wave), (0, 0))

    def with_devices(self, wave: int, looked_at: int, conflicts: Sequence[Conflict], current: int) -> Findings:
        """The findings once so many devices more of a wave were looked at."""
        known = {number: (held, current) for number, held, current in self.by_wave}
        held_before, current_before = self.in_wave(wave)
        known[wave] = held_before + len(conflicts), current_before + current
        return replace(
            self,
            looked_at=self.looked_at + looked_at,
            held=self.held + len(conflicts),
            by_wave=tuple((number, *counts) for number, counts in sorted(known.items())),
            named=(*self.named, *conflicts)[:MAX_NAMED],
            current=self.current + current,
        )
