"""A section of a twin: a JSON object with a timestamp per node, changed by merge patches.

Sections are values: a change copies only the objects on its way down, so that a document handed out stays as it was.
Nobody may alter a document found here in place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.hub import limits
from emulator.hub.clock import NEVER

type Json = dict[str, Any]
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Tags, desired or reported properties.

    Attributes:
        values: the properties.
        stamps: the ``$metadata`` tree.
        version: ``$version``, 1 at first.
        size_bytes: as the hub counts it.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    stamps: Mapping[str, Any] = field(default_factory=lambda: {"$lastUpdated": NEVER})
    version: int = 1
    size_bytes: int = 0


EMPTY = Section()
READ_ONLY = frozenset({"$metadata", "$version"})
"""Keys that clients may send back as they got them; the hub ignores them."""


def without_read_only(patch: Mapping[str, Any]) -> Json:
    return {key: value for key, value in patch.items() if key not in READ_ONLY}


def merge(section: Section, patch: Mapping[str, Any], stamp: Mapping[str, Any]) -> Section:
    """Apply a merge patch (RFC 7396): null removes, objects merge, everything else replaces.

    Args:
        stamp: what each touched node gets in ``$metadata``: ``$lastUpdated``, and for desired properties
            ``$lastUpdatedVersion``.
    """
    values, stamps, growth = _merge(section.values, section.stamps, patch, stamp)
    return Section(values=values, stamps=stamps, version=section.version + 1, size_bytes=section.size_bytes + growth)


def replace(section: Section, document: Mapping[str, Any], stamp: Mapping[str, Any]) -> Section:
    """The section with new content altogether."""
    values = without_nulls(document)
    return Section(
        values=values,
        stamps=stamps_of(values, stamp),
        version=section.version + 1,
        size_bytes=limits.value_bytes(values),
    )


def stamps_of(value: Any, stamp: Mapping[str, Any]) -> Json:
    """The ``$metadata`` of a value that was written just now; what a patch removes has none."""
    stamps = dict(stamp)
    if isinstance(value, dict):
        stamps |= {key: stamps_of(inner, stamp) for key, inner in value.items() if inner is not None}
    return stamps


def _merge(
    values: Mapping[str, Any], stamps: Mapping[str, Any], patch: Mapping[str, Any], stamp: Mapping[str, Any]
) -> tuple[Json, Json, int]:
    merged, stamped, growth = dict(values), {**stamps, **stamp}, 0
    for key, new in patch.items():
        old = merged.get(key, _ABSENT)
        if isinstance(new, dict) and isinstance(old, dict):
            merged[key], stamped[key], grown = _merge(old, stamped[key], new, stamp)
            growth += grown
            continue
        if old is not _ABSENT:
            growth -= limits.entry_bytes(key, merged.pop(key))
            del stamped[key]
        if new is not None:
            merged[key], stamped[key] = without_nulls(new), stamps_of(new, stamp)
            growth += limits.entry_bytes(key, merged[key])
    return merged, stamped, growth


def without_nulls(value: Any) -> Any:
    """The value with no key that takes something away."""
    if not isinstance(value, dict):
        return value
    return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
