"""Why devices of a wave were skipped. Counted beside its counters, in the same transaction as the rows.

What a skipped device says of the package depends on why it was skipped: one that runs the version already has proven
it, one that IoT Hub does not know proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.rollouts import DEVICE_NOT_FOUND, Rollout, RolloutState


class SkipReason(StrEnum):
    """Why a device was skipped: the code of its row, or what stands before the colon in it."""

    NOT_FOUND = DEVICE_NOT_FOUND
    DELETED = "device_deleted"
    CURRENT = "current"
    HELD = "held_by"
    NO_PACKAGE = "no_package"
    QUARANTINED = "quarantined"
    WAVE_SKIPPED = "wave_skipped"
    OTHER = "other"


R = SkipReason

LOST = (R.NOT_FOUND, R.DELETED)
"""Planned as devices that would try the package, and not there when their turn came, or gone before they ended."""

WORDS: Mapping[SkipReason, str] = {
    R.NOT_FOUND: "not known to IoT Hub (device_not_found)",
    R.DELETED: "deleted in IoT Hub",
    R.CURRENT: "with the version already",
    R.HELD: "held by other campaigns",
    R.NO_PACKAGE: "for which there is no package",
    R.QUARANTINED: "of cohorts that are held back",
    R.WAVE_SKIPPED: "left out by an operator",
    R.OTHER: "skipped for another reason",
}
"""To follow a number of devices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipCounts:
    """How many devices were skipped for which reason; zeros are left out."""

    by_reason: Mapping[SkipReason, int] = field(default_factory=dict)

    def of(self, *reasons: SkipReason) -> int:
        """How many were skipped for any of the reasons."""
        return sum(self.by_reason.get(reason, 0) for reason in reasons)

    @property
    def total(self) -> int:
        """All skipped devices whose reason was counted: fewer than were skipped, where an older version counted."""
        return sum(self.by_reason.values())

    @property
    def words(self) -> str:
        """For people, such as ``3 not known to IoT Hub (device_not_found), 2 held by other campaigns``."""
        return ", ".join(f"{count} {WORDS[reason]}" for reason in R if (count := self.of(reason)))

    def moved(self, before: Rollout | None, after: Rollout) -> SkipCounts:
        """The counts after a row became another, or was made; the same where that makes no difference to them."""
        left, joined = reason_of(before) if before else None, reason_of(after)
        if left is joined:
            return self
        counts = self if left is None else self._counted(left, -1)
        return counts if joined is None else counts._counted(joined, 1)

    def left_by(self, rollouts: Iterable[Rollout]) -> SkipCounts:
        """The counts after these went to another wave."""
        counts = self
        for rollout in rollouts:
            if (reason := reason_of(rollout)) is not None:
                counts = counts._counted(reason, -1)
        return counts

    def __add__(self, other: SkipCounts) -> SkipCounts:
        both = {reason: self.of(reason) + other.of(reason) for reason in R}
        return SkipCounts(by_reason={reason: count for reason, count in both.items() if count})

    def _counted(self, reason: SkipReason, difference: int) -> SkipCounts:
        """Never below none: an older version may have counted the device, and said nothing of the reason."""
        count = max(0, self.of(reason) + difference)
        others = {each: known for each, known in self.by_reason.items() if each is not reason}
        return SkipCounts(by_reason={**others, reason: count} if count else others)


def reason_of(rollout: Rollout) -> SkipReason | None:
    """Why the device was skipped; None where it was not."""
    if rollout.state is not RolloutState.SKIPPED:
        return None
    word = rollout.code.partition(":")[0]
    return SkipReason(word) if word in SkipReason else SkipReason.OTHER


def count_skips(rollouts: Iterable[Rollout]) -> SkipCounts:
    """The counts that rows amount to."""
    counts = SkipCounts()
    for rollout in rollouts:
        counts = counts.moved(None, rollout)
    return counts
