"""The column ``cohorts`` of a counters row: JSON, ``[[hardware, version, [[state, code, count], …]], …]``."""

from __future__ import annotations

import json

from shared.domain.cohorts import Cohort, CohortCounts, End
from shared.domain.rollouts import RolloutState


def write_cohorts(counts: CohortCounts) -> str:
    """The column; empty where nothing was counted yet."""
    if not counts.ends:
        return ""
    listed = [
        [cohort.hardware, cohort.version, [[end.state.value, end.code, count] for end, count in ends.items()]]
        for cohort, ends in counts.ends.items()
    ]
    return json.dumps(listed, separators=(",", ":"))


def read_cohorts(text: str) -> CohortCounts:
    """The counts in a column."""
    ends = {
        Cohort(hardware=hardware, version=version): {
            End(state=RolloutState(state), code=code): count for state, code, count in counts
        }
        for hardware, version, counts in json.loads(text or "[]")
    }
    return CohortCounts(ends=ends)
