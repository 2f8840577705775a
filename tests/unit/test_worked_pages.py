"""Examples of pages are read whole, and what does not come of them is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.worked_pages import find_differences, read_page

PAGE = """# A page

## First

<!-- devices: {"north-1": "ok", "north-2": "slow:3"} -->

```http
PUT /groups/a
{"query": "q"}

GET /groups/a
```

```http
HTTP/1.1 200 OK

{"name": "a"}
```

## Words only

## Second

```http
POST /campaigns/{id}/pause
Idempotency-Key: k
```

```json
"rate": {"devices_per_minute": 20}
```
"""


def test_a_page_is_read_section_by_section(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)

    first, second = read_page(tmp_path / "page.md")

    put, get = first.requests
    assert (put.method, put.path, put.body, put.answer) == ("PUT", "/groups/a", {"query": "q"}, None)
    assert (get.method, get.body, get.answer and get.answer.status) == ("GET", None, 200)
    assert list(first.devices) == ["north-1", "north-2"]
    [pause] = second.requests
    assert (pause.path, pause.headers) == ("/campaigns/{id}/pause", {"Idempotency-Key": "k"})
    assert second.fragments == [{"rate": {"devices_per_minute": 20}}]


@pytest.mark.parametrize(
    ("claimed", "found", "different"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": 1}, {}, True),
        ({"a": {"b": "x…z"}}, {"a": {"b": "xyz"}}, False),
        ({"a": {"b": "x…z"}}, {"a": {"b": "xy"}}, True),
        ([1, 2], [1, 2], False),
        ([1, 2], [1, 2, 3], True),
        ([1, "…"], [1, 2, 3], False),
        ([1, "…"], [2, 3], True),
        ([1, "…"], [], True),
        ({"a": "…"}, {"a": None}, True),
        ([{"a": 1}], [{"a": 2}], True),
    ],
)
def test_what_is_not_as_claimed_is_found(claimed: Any, found: Any, different: bool) -> None:
    assert bool(list(find_differences(claimed, found))) == different
