"""A value together with the version of the row it was read from."""

from __future__ import annotations

from dataclasses import dataclass


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
        unreadable: Why rows are missing that this version cannot read, a sentence for each.
    """

    items: tuple[T, ...]
    continuation: str = ""
    unreadable: tuple[str, ...] = ()
