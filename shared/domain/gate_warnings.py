"""Limits of a gate that another one makes idle. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor

from shared.domain.gates import Bound, Gate
from shared.domain.plan_facts import PlanFacts, PlanWarning


def idle_limits(facts: PlanFacts) -> Iterator[PlanWarning]:
    """Limits that no wave could come to; of waves with the same limits, one that could is enough to say nothing."""
    idle: dict[Bound, tuple[int, str, str]] = {}
    ways = [(at, bound, _idle(bound, gate, devices)) for at, gate, devices in _gates(facts) for bound in gate.bounds]
    for at, bound, found in ways:
        if found is not None:
            idle.setdefault(bound, (at, *found))
    for bound, (at, limit, message) in idle.items():
        if all(found is not None and found[0] == limit for _, other, found in ways if other == bound):
            yield PlanWarning(code="idle_limit", field=f"waves.{at}.gate.{limit}", message=message)


def hidden_cohorts(facts: PlanFacts) -> Iterator[PlanWarning]:
    """Gates that by the size of their wave stop it before a cohort of the smallest size could show."""
    if (quarantine := facts.spec.quarantine) is None:
        return
    for at, gate, devices in _gates(facts):
        if gate.failure_percent is None or gate.confidence_percent is not None:
            continue
        stops_at = max(floor(devices * gate.failure_percent / 100) + 1, gate.minimum_completed)
        if stops_at < quarantine.minimum <= devices:
            message = (
                f"failure_percent {gate.failure_percent:g} stops a wave of {devices} at {stops_at} that failed, before "
                f"the {quarantine.minimum} of a cohort that quarantine asks for"
            )
            yield PlanWarning(code="hidden_cohort", field=f"waves.{at}.gate.failure_percent", message=message)


def _gates(facts: PlanFacts) -> Iterator[tuple[int, Gate, int]]:
    for at, spec, wave in facts.waves:
        if wave.load.devices:
            yield at, spec.gate, wave.load.devices


def _idle(bound: Bound, gate: Gate, devices: int) -> tuple[str, str] | None:
    """The limit that another one makes idle, and the sentence that says what comes before it; None where none is."""
    if bound.count is None:
        return None
    if bound.count > devices:
        return (
            f"{bound.name}_count",
            f"no wave with this {bound.name}_count has {bound.count} devices: it stops nothing",
        )
    if bound.percent is None or gate.confidence_percent is not None:
        return None
    by_share = floor(devices * bound.percent / 100) + 1
    if max(by_share, gate.minimum_completed) < bound.count:
        return (
            f"{bound.name}_count",
            f"{bound.name}_percent {bound.percent:g} stops a wave of {devices} at {by_share} that {bound.words}, "
            f"before {bound.name}_count {bound.count}; set {bound.name}_percent to null if the count shall decide",
        )
    if bound.count < by_share:
        return (
            f"{bound.name}_percent",
            f"{bound.name}_count {bound.count} stops a wave of {devices} before more than {bound.percent:g} % of it "
            f"{bound.words}",
        )
    return None
