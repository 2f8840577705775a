"""Cohorts: devices of one hardware that came from one version. Failures that cluster in one hold it back, not the rest.

Each counters row counts how the devices of each cohort ended, in the same transaction as the rows. Devices choose their
words themselves, so the number of cohorts and of ends is bounded; what is beyond falls into one that is never judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.gates import FAILURES, Counters
from shared.domain.rollouts import Rollout, RolloutState
from shared.domain.skips import SkipCounts

MAX_COHORTS = 30
MAX_ENDS = 10
MAX_WORD = 40
"""With them, a counters row's cohorts stay below the 32 K characters of a table property."""

S = RolloutState

_ODD = re.compile(r"[^ !#-\[\]-~]")
_COUNTED = frozenset({S.SUCCEEDED, S.TIMED_OUT, *FAILURES})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Cohort:
    """What devices have in common; empty where they never said.

    Attributes:
        version: What they ran of the package before.
    """

    hardware: str
    version: str

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.hardware or 'unnamed hardware'} from {self.version or 'no version'}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class End:
    """How devices ended."""

    state: RolloutState
    code: str = ""


OTHERS = Cohort(hardware="*", version="*")
"""Devices of cohorts that no room was left for."""

OTHER_END = End(state=S.TIMED_OUT, code="*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """When a cohort is held back.

    Attributes:
        minimum: This many of its devices failed with one code, at the least.
        failure_percent: And they are this share of its devices that ended, at the least.
    """

    minimum: int = 3
    failure_percent: float = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A cohort that is held back, and what it is held back for.

    Attributes:
        failures: Its devices with this end when that was found.
        ended: Its devices that had ended then.
    """

    cohort: Cohort
    end: End
    failures: int
    ended: int
    at: datetime

    @property
    def words(self) -> str:
        """A sentence for people."""
        how = f"{self.end.state.value} ({self.end.code})" if self.end.code else self.end.state.value
        return f"{self.failures} of {self.ended} devices of {self.cohort.words} ended as {how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortCounts:
    """How many devices of each cohort ended how. What was once counted keeps its place, also at zero."""

    ends: Mapping[Cohort, Mapping[End, int]] = field(default_factory=dict)

    def moved(self, before: Rollout | None, after: Rollout) -> CohortCounts:
        """The counts after a row became another; the same where it makes no difference to them."""
        left, joined = _place(before) if before else None, _place(after)
        if left == joined:
            return self
        counts = self if left is None else self._counted(*left, -1)
        return counts if joined is None else counts._counted(*joined, 1)

    def __add__(self, other: CohortCounts) -> CohortCounts:
        ends = {cohort: dict(counts) for cohort, counts in self.ends.items()}
        for cohort, counts in other.ends.items():
            merged = ends.setdefault(cohort, {})
            for end, count in counts.items():
                merged[end] = merged.get(end, 0) + count
        return CohortCounts(ends=ends)

    def ended(self, cohort: Cohort) -> int:
        """How many of its devices ended."""
        return sum(max(0, count) for count in self.ends.get(cohort, {}).values())

    def of(self, cohort: Cohort, end: End) -> int:
        """How many of its devices ended like this."""
        return max(0, self.ends.get(cohort, {}).get(end, 0))

    def _counted(self, cohort: Cohort, end: End, difference: int) -> CohortCounts:
        place = cohort if cohort in self.ends or len(self.ends) < MAX_COHORTS else OTHERS
        known = self.ends.get(place, {})
        # A word that had no room when its devices came has none when they go.
        kept = end if end in known or len(known) < MAX_ENDS else OTHER_END
        counts = {**known, kept: known.get(kept, 0) + difference}
        return CohortCounts(ends={**self.ends, place: counts})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How a wave stood at one moment: all of it is kept in one row for each shard, and moves in one transaction."""

    counters: Counters = field(default_factory=Counters)
    cohorts: CohortCounts = field(default_factory=CohortCounts)
    skips: SkipCounts = field(default_factory=SkipCounts)

    def moved(self, before: Rollout | None, after: Rollout) -> Tally:
        """The tally after a row became another, or was made; the same where that makes no difference to it."""
        counts = before is None or before.state is not after.state
        return Tally(
            counters=self.counters.moved(before.state if before else None, after.state) if counts else self.counters,
            cohorts=self.cohorts.moved(before, after),
            skips=self.skips.moved(before, after),
        )

    def left_by(self, rollouts: Sequence[Rollout]) -> Tally:
        """The tally after these went to another wave; nothing has ended there, and cohorts stay as they are."""
        left = self.counters.left_by(rollout.state for rollout in rollouts)
        return replace(self, counters=left, skips=self.skips.left_by(rollouts))

    def joined_by(self, rollouts: Sequence[Rollout]) -> Tally:
        """The tally after these came from another wave."""
        joined = self
        for rollout in rollouts:
            joined = replace(
                joined,
                counters=joined.counters.moved(None, rollout.state),
                skips=joined.skips.moved(None, rollout),
            )
        return joined

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            counters=self.counters + other.counters,
            cohorts=self.cohorts + other.cohorts,
            skips=self.skips + other.skips,
        )


def cohort_of(hardware: str, version: str) -> Cohort:
    """The cohort of a device, its words cut to what is kept of them."""
    return Cohort(hardware=_word(hardware), version=_word(version))


def find_clusters(
    quarantine: Quarantine, counts: CohortCounts, known: Iterable[Quarantined], *, now: datetime
) -> Iterator[Quarantined]:
    """The cohorts to hold back that are not held back for that end yet."""
    held = {(each.cohort, each.end) for each in known}
    for cohort, ends in sorted(counts.ends.items()):
        ended = counts.ended(cohort)
        for end, failures in sorted(ends.items()):
            is_cluster = failures >= quarantine.minimum and 100 * failures / max(1, ended) >= quarantine.failure_percent
            is_failure = end.state in FAILURES and end != OTHER_END and cohort != OTHERS
            if is_failure and is_cluster and (cohort, end) not in held:
                yield Quarantined(cohort=cohort, end=end, failures=failures, ended=ended, at=now)


def quarantined_failures(counts: CohortCounts, quarantined: Iterable[Quarantined]) -> Counters:
    """The failures that cohorts are held back for: they leave the gate's count."""
    by_state: dict[RolloutState, int] = {}
    for each in quarantined:
        by_state[each.end.state] = by_state.get(each.end.state, 0) + counts.of(each.cohort, each.end)
    return Counters(by_state=by_state)


def _place(rollout: Rollout) -> tuple[Cohort, End] | None:
    if rollout.state not in _COUNTED:
        return None
    code = _word(rollout.code) if rollout.state in FAILURES else ""
    return cohort_of(rollout.hardware, rollout.former_version), End(state=rollout.state, code=code)


def _word(text: str) -> str:
    """At most 40 printable characters that JSON needs not escape, so that what is kept of all has a known size."""
    return _ODD.sub("?", text[:MAX_WORD])
