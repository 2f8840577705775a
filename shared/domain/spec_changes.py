"""How two specifications of a campaign differ, field by field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shared.domain.campaign_specs import CampaignSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field that is not the same; None where one side has no such field.

    Attributes:
        field: As in a request, such as ``waves.0.percent``, where a request has it.
    """

    field: str
    theirs: str | None
    ours: str | None


def find_differences(theirs: CampaignSpec, ours: CampaignSpec) -> list[Difference]:
    """What is different in ours, in the order of the fields."""
    before, after = dict(_flatten("", asdict(theirs))), dict(_flatten("", asdict(ours)))
    return [
        Difference(field=_as_asked(field), theirs=_text(before, field), ours=_text(after, field))
        for field in dict.fromkeys([*before, *after])
        if field not in before or field not in after or before[field] != after[field]
    ]


_ASKED = (
    (re.compile(r"^(waves\.\d+)\.size\.devices$"), r"\1.count"),
    (re.compile(r"^(waves\.\d+)\.size\.percent$"), r"\1.percent"),
    (re.compile(r"^(waves\.\d+)\.size\.condition$"), r"\1.filter"),
    (re.compile(r"^precedence\.(priority|on_conflict)$"), r"\1"),
    (re.compile(r"^targeting\.excluded_(query|group)$"), r"targets.exclude.\1"),
    (re.compile(r"^targeting\.list_name$"), "targets.list"),
    (re.compile(r"^targeting\.(group|membership|canaries)$"), r"targets.\1"),
)
"""Fields of a specification to those of the request that they come from."""


def _as_asked(field: str) -> str:
    return next((pattern.sub(words, field) for pattern, words in _ASKED if pattern.match(field)), field)


def _text(fields: Mapping[str, Any], field: str) -> str | None:
    if field not in fields:
        return None
    value = fields[field]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flatten(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        members: Sequence[tuple[str, Any]] = [(str(key), member) for key, member in value.items()]
    elif isinstance(value, list | tuple):
        members = [(str(position), member) for position, member in enumerate(value)]
    else:
        yield path, value
        return
    for name, member in members:
        yield from _flatten(f"{path}.{name}" if path else name, member)
