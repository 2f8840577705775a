"""Values of any type of the domain, made from nothing but its annotations."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, time
from enum import Enum
from typing import Any, TypeAliasType, Union, get_args, get_origin, get_type_hints

from shared.domain.errors import DomainError

_SCALARS: dict[Any, list[Any]] = {
    bool: [True, False],
    int: [1, 2],
    float: [1.5, 2.5],
    str: ["Europe/Berlin", "Asia/Tokyo", ""],  # the zone of a window is a text, and no other text is refused
    datetime: [datetime(2026, 1, 5, 12, tzinfo=UTC), datetime(2026, 1, 6, 12, tzinfo=UTC)],
    time: [time(22), time(4)],
    types.NoneType: [None],
}


def specimens(wanted: Any) -> list[Any]:
    """Values of a type, no two the same; of a dataclass one with everything, and those that differ from it in one leaf.

    Raises:
        KeyError: It has a type that nobody has told how to make.
    """
    if isinstance(wanted, TypeAliasType):
        return specimens(wanted.__value__)
    if get_origin(wanted) in (Union, types.UnionType):
        kinds = sorted(get_args(wanted), key=lambda kind: kind is types.NoneType)
        return [value for kind in kinds for value in specimens(kind)]
    if get_origin(wanted) is tuple:
        first, *others = specimens(get_args(wanted)[0])
        return [(first,), *((other,) for other in others), (), (first, first)]
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return list(wanted)
    if is_dataclass(wanted):
        return list(_of_dataclass(wanted))
    return _SCALARS[wanted]


def _of_dataclass(wanted: Any) -> Iterator[Any]:
    hints = get_type_hints(wanted)
    values = {field.name: specimens(hints[field.name]) for field in fields(wanted)}
    base = wanted(**{name: first for name, (first, *_) in values.items()})
    yield base
    for name, (_, *others) in values.items():
        for other in others:
            try:
                yield replace(base, **{name: other})
            except DomainError:  # a value that its type refuses need not be told from others
                continue
