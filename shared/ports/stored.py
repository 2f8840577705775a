"""A value together with the version of the row it was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored[T]:
    """What was read, and the etag a conditional write must name."""

    value: T
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page[T]:
    """Part of a listing.

    Attributes:
        continuation: Where the next page begins; empty when this was the last.
        unreadable: Rows that are missing because this version cannot read them: their ids, each with a sentence why.
    """

    items: tuple[T, ...]
    continuation: str = ""
    unreadable: Mapping[str, str] = field(default_factory=dict)
