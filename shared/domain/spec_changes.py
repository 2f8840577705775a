"""How two specifications of a campaign differ, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shared.domain.campaigns import CampaignSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field that is not the same; None where one side has no such field.

    Attributes:
        field: Such as ``waves.0.size.percent``.
    """

    field: str
    theirs: str | None
    ours: str | None


def find_differences(theirs: CampaignSpec, ours: CampaignSpec) -> list[Difference]:
    """What is different in ours, in the order of the fields."""
    before, after = dict(_flatten("", asdict(theirs))), dict(_flatten("", asdict(ours)))
    return [
        Difference(field=field, theirs=_text(before, field), ours=_text(after, field))
        for field in dict.fromkeys([*before, *after])
        if field not in before or field not in after or before[field] != after[field]
    ]


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
