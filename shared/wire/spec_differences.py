"""How two specifications of a campaign differ, field by field, in the words of the request for one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from shared.domain.campaign_specs import CampaignSpec
from shared.wire.asked_specs import write_as_asked
from shared.wire.http_campaigns import CampaignRequest

type _Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field that is not the same; None where one side has no such field.

    Attributes:
        field: Where the request has it, such as ``packages.1.version``, or would have it.
    """

    field: str
    theirs: str | None
    ours: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    path: _Path
    theirs: str | None
    ours: str | None


def find_differences(theirs: CampaignSpec, ours: CampaignSpec, asked: CampaignRequest) -> list[Difference]:
    """What is different in ours.

    Args:
        asked: The request that means ours, as it was posted: of several ways to say a thing, the fields are of the one
            that it uses.
    """
    found = list(_compare((), write_as_asked(theirs), write_as_asked(ours)))
    shared = _shared_waves(theirs, asked)
    named = [replace(each, path=_named(each.path, asked)) for each in _fold_gates(found, shared)]
    return [
        Difference(field=".".join(map(str, each.path)), theirs=each.theirs, ours=each.ours)
        for each in dict.fromkeys(named)
    ]


def _compare(path: _Path, theirs: Any, ours: Any) -> Iterator[_Found]:
    if theirs == ours:
        return
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for name in dict.fromkeys([*theirs, *ours]):
            yield from _compare((*path, name), theirs.get(name), ours.get(name))
    elif _has_parts(theirs) and _has_parts(ours):
        for number, (their, our) in enumerate(zip_longest(theirs, ours)):
            yield from _compare((*path, number), their, our)
    else:
        yield _Found(path=path, theirs=_text(theirs), ours=_text(ours))


def _has_parts(value: Any) -> bool:
    """Whether it is a list whose members have fields; an empty one can be either."""
    return isinstance(value, list) and all(isinstance(member, Mapping) for member in value)


def _shared_waves(theirs: CampaignSpec, asked: CampaignRequest) -> frozenset[int]:
    """The waves of both whose gate the request says once for all, from 0."""
    both = zip(asked.waves, theirs.waves, strict=False)
    return frozenset(number for number, (wave, _) in enumerate(both) if wave.gate is None)


def _fold_gates(found: Iterable[_Found], shared: frozenset[int]) -> Iterator[_Found]:
    """The same with one difference of ``gate`` where all waves that share it differ in it alike."""
    found = list(found)
    folded = {each: replace(each, path=each.path[2:]) for each in found if _is_of_gate(each.path, shared)}
    alike = list(folded.values())
    for each in found:
        is_everywhere = each in folded and alike.count(folded[each]) == len(shared)
        yield folded[each] if is_everywhere else each


def _is_of_gate(path: _Path, shared: frozenset[int]) -> bool:
    match path:
        case ("waves", int(number), "gate", *_):
            return number in shared
        case _:
            return False


def _named(path: _Path, asked: CampaignRequest) -> _Path:
    """Where the request says it."""
    match path:
        case ("packages", 0, *rest) if asked.package is not None:
            return ("package", *rest)
        case ("targets", "exclude", "devices" | "list", *_) if (given := _excluded_by(asked)) and path[2] not in given:
            # The ids of all that is left out are kept together, wherever they were taken from.
            return ("targets", "exclude", given[0])
        case _:
            return path


def _excluded_by(asked: CampaignRequest) -> list[str]:
    exclude = asked.targets.exclude
    said = exclude.model_dump(by_alias=True, exclude_none=True) if exclude else {}
    return [name for name in ("list", "group", "devices", "query") if name in said]


def _text(value: Any) -> str | None:
    """As one writes it in YAML; None for nothing."""
    match value:
        case None | []:
            return None
        case str():
            return value
        case [*members] if not any(isinstance(member, Mapping) for member in members):
            return ", ".join(str(member) for member in members)
        case _:
            return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Without fields that say nothing, and without the fraction of whole numbers."""
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items() if member is not None}
    return int(value) if isinstance(value, float) and value.is_integer() else value
