"""The facts of a verdict, as they stand in an audit entry: everything from which it can be derived again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from shared.domain.errors import DomainError
from shared.domain.gates import Counters, Gate
from shared.domain.skips import SkipCounts, SkipReason
from shared.domain.verdicts import Verdict, judge_wave


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictFacts:
    """What a gate looked at, and what it said.

    Attributes:
        wave: Number of the wave, from 1.
        unknown: How many of its devices IoT Hub does not know. Facts without ``skips`` have it only where that is so of
            all of them, and nobody was left to count.
        skips: Why devices were skipped; None where none were, and in facts from before that was counted.
    """

    wave: int
    gate: Gate
    counters: Counters
    acknowledged: Counters
    verdict: Verdict
    unknown: int = 0
    skips: SkipCounts | None = None


def derive_verdict(facts: VerdictFacts) -> Verdict:
    """What follows from what the gate looked at: the verdict that the facts hold, unless somebody made it up."""
    if facts.skips is not None:
        return judge_wave(facts.gate, facts.counters, facts.acknowledged, skips=facts.skips)
    known = SkipCounts(by_reason={SkipReason.NOT_FOUND: facts.unknown})
    return replace(judge_wave(facts.gate, facts.counters, facts.acknowledged, skips=known), skips=None)


_FACTS: TypeAdapter[VerdictFacts] = TypeAdapter(VerdictFacts)


def write_verdict_facts(facts: VerdictFacts) -> Mapping[str, object]:
    """The facts as JSON; all fields of the gate are spelled out, because a default may be another one later."""
    document: dict[str, object] = _FACTS.dump_python(facts, mode="json")
    return document


def read_verdict_facts(document: Mapping[str, object]) -> VerdictFacts:
    """The facts in an audit entry.

    Raises:
        DomainError: They are not those of a verdict (code ``facts_unreadable``).
    """
    try:
        return _FACTS.validate_python(dict(document), extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DomainError(f"{where}: {first['msg']}", code="facts_unreadable") from error
