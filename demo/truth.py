"""Does every row say what its device really runs?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

NEVER_TOLD = frozenset({"planned", "skipped"})


def find_lies(
    rows: Iterable[Mapping[str, Any]],
    runs: Callable[[str], Mapping[str, str]],
    *,
    package: str,
    version: str,
) -> list[str]:
    """One sentence for each rollout row that does not say what its device runs; empty when all is true.

    Args:
        runs: Device id to what it really runs, package name to version.
        package: The package of the campaign the rows belong to.
        version: The version the campaign rolls out.
    """
    return [lie for row in rows if (lie := _lie(row, runs(row["device"])[package], version))]


def find_miscounts(rows: Iterable[Mapping[str, Any]], waves: Iterable[Mapping[str, Any]]) -> list[str]:
    """One sentence for each wave whose counters are not its rows."""
    counted: dict[int, Counter[str]] = {}
    for row in rows:
        counted.setdefault(row["wave"], Counter())[row["state"]] += 1
    return [
        f"wave {wave['number']} counts {wave['counters']}, its rows are {dict(counted.get(wave['number'], {}))}"
        for wave in waves
        if wave["counters"] != dict(counted.get(wave["number"], {}))
    ]


def _lie(row: Mapping[str, Any], real: str, wanted: str) -> str:
    device, state, told = row["device"], row["state"], row["installed"]
    if state not in NEVER_TOLD and told != real:
        return f"{device}: the row says it runs {told or 'nothing'}, it runs {real}"
    if (state == "succeeded") != (real == wanted):
        return f"{device}: the row says {state}, it runs {real}"
    return ""
