"""Sections of twins: merging keeps values, sizes and timestamps in step."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from emulator.hub import documents, limits
from emulator.hub.documents import EMPTY, Section

keys = st.sampled_from(["a", "b", "c", "é"])
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    scalars | st.lists(st.integers(), max_size=2), lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
patches = st.dictionaries(keys, values, max_size=3)


def rfc_7396(target: Any, patch: Any) -> Any:
    """The merge as the RFC's own pseudo code has it."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = rfc_7396(merged.get(key), value)
    return merged


def merged(patches_in_order: list[dict[str, Any]]) -> Section:
    section = EMPTY
    for number, patch in enumerate(patches_in_order):
        section = documents.merge(section, patch, {"$lastUpdated": str(number)})
    return section


def shape(value: Any) -> Any:
    """The nesting of a document, without its leaves."""
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else {}


def shape_of_stamps(stamps: Any) -> Any:
    return {key: shape_of_stamps(inner) for key, inner in stamps.items() if not key.startswith("$")}


@given(st.lists(patches, max_size=5))
def test_merging_is_that_of_the_rfc(history: list[dict[str, Any]]) -> None:
    expected: Any = {}
    for patch in history:
        expected = rfc_7396(expected, patch)
    assert merged(history).values == expected


@given(st.lists(patches, max_size=5))
def test_running_size_equals_the_size_counted_anew(history: list[dict[str, Any]]) -> None:
    section = merged(history)
    assert section.size_bytes == limits.value_bytes(section.values)


@given(st.lists(patches, max_size=5))
def test_every_property_and_nothing_else_has_a_timestamp(history: list[dict[str, Any]]) -> None:
    section = merged(history)
    assert shape_of_stamps(section.stamps) == shape(section.values)


@given(patches, patches)
def test_a_merge_leaves_the_section_before_it_as_it_was(first: dict[str, Any], second: dict[str, Any]) -> None:
    before = merged([first])
    kept = rfc_7396({}, first)
    documents.merge(before, second, {"$lastUpdated": "later"})
    assert before.values == kept


def test_only_the_touched_branch_gets_a_new_timestamp() -> None:
    section = merged([{"a": {"b": 1}, "c": {"d": 1}}, {"a": {"e": 2}}])
    assert section.stamps["c"]["$lastUpdated"] == section.stamps["a"]["b"]["$lastUpdated"] == "0"
    assert section.stamps["a"]["$lastUpdated"] == section.stamps["$lastUpdated"] == "1"


def test_sizes_are_counted_as_documented() -> None:
    assert limits.value_bytes({"key": "value", "n": 1, "b": True, "u": "é", "c": "\x07x"}) == 8 + 9 + 5 + 3 + 2
