"""Queries over the fleet, driven by the real service SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.hub.models import ExportImportDevice, QuerySpecification
from msrest.exceptions import HttpOperationError

from tests.support.hub import LocalHub, connected, local_hub

FLEET = 250


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        service = hub.service()
        for start in range(0, FLEET, 50):
            service.bulk_create_or_update_devices([_member(number) for number in range(start, start + 50)])
        yield hub


def _member(number: int) -> ExportImportDevice:
    tags = {"site": "north" if number % 2 else "south", "number": number, "a-b": {"deep": number < 3}}
    return ExportImportDevice(
        id=f"d{number:03}", import_mode="create", tags=tags, status="enabled" if number != 7 else "disabled"
    )


def select(hub: LocalHub, query: str) -> list[Any]:
    """All items, page after page."""
    items, continuation = [], None
    while True:
        page = hub.service().query_iot_hub(QuerySpecification(query=query), continuation)
        items += page.items
        continuation = page.continuation_token
        if not continuation:
            return items


def ids(hub: LocalHub, condition: str) -> list[str]:
    query = f"SELECT * FROM devices WHERE {condition}"  # noqa: S608
    return [twin.device_id for twin in select(hub, query)]


def test_pages_hold_every_device_once_and_end(hub: LocalHub) -> None:
    service = hub.service()
    sizes, seen, continuation = [], [], None
    while True:
        page = service.query_iot_hub({"query": "SELECT * FROM devices"}, continuation, "100")
        sizes.append(len(page.items))
        seen += [twin.device_id for twin in page.items]
        continuation = page.continuation_token
        if not continuation:
            break
    assert sizes == [100, 100, 50]
    assert seen == [f"d{number:03}" for number in range(FLEET)]
    assert page.type == "twin"


def test_a_page_that_ends_with_the_last_match_has_no_successor(hub: LocalHub) -> None:
    query = {"query": "SELECT * FROM devices WHERE tags.number < 4"}
    page = hub.service().query_iot_hub(query, None, "4")
    assert (len(page.items), page.continuation_token) == (4, None)


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ("tags.site = 'north' AND tags.number < 5", [1, 3]),
        ("tags.number IN [3, 5, 900]", [3, 5]),
        ("tags.number NIN [3, 5] AND tags.number <= 6 AND tags.number > 1", [2, 4, 6]),
        ("NOT (tags.number >= 2 OR tags.site <> 'south')", [0]),
        ("tags.[[a-b]].deep = true", [0, 1, 2]),
        ("status = 'disabled'", [7]),
        ("deviceId != 'd000' and startswith(deviceId, 'd00') and endswith(deviceId, '1')", [1]),
        ("is_defined(tags.missing)", []),
        ("tags.missing != 1", []),
        ("NOT tags.missing = 1", []),
        ("tags.number = '3'", []),
        ("tags.number = -1 OR tags.number = 1e1", [10]),
    ],
)
def test_conditions_select(hub: LocalHub, condition: str, numbers: list[int]) -> None:
    assert ids(hub, condition) == [f"d{number:03}" for number in numbers]


def test_reported_and_desired_properties_and_connection_state_can_be_asked_for(hub: LocalHub) -> None:
    hub.service().update_twin("d010", {"properties": {"desired": {"update": {"campaign": "c'1"}}}})
    with connected(hub.device("d010")) as client:
        client.patch_twin_reported_properties({"update": {"state": "installing", "progress": 50}})
        assert ids(hub, "connectionState = 'Connected'") == ["d010"]
    assert ids(hub, "properties.reported.update.state IN ['installing']") == ["d010"]
    assert ids(hub, "properties.reported.update.progress >= 50.0") == ["d010"]
    assert ids(hub, "properties.desired.update.campaign = 'c''1'") == ["d010"]
    assert ids(hub, r"properties.desired.update.campaign = 'c\'1'") == ["d010"]
    assert ids(hub, "properties.reported.$version > 1") == ["d010"]
    assert ids(hub, "IS_DEFINED(properties.reported.update.state) OR IS_DEFINED(properties.reported.x.y)") == ["d010"]


def test_counting_and_projecting_give_raw_rows(hub: LocalHub) -> None:
    page = hub.service().query_iot_hub({"query": "SELECT COUNT() AS n FROM devices WHERE tags.site = 'north'"})
    assert page.type == "raw"
    assert page.items[0].additional_properties == {"n": FLEET // 2}
    rows = hub.call_rest(
        "POST",
        "/devices/query",
        b'{"query": "SELECT deviceId, tags.number AS n, tags.none FROM devices WHERE tags.number < 2"}',
    ).json()
    assert rows == [{"deviceId": "d000", "n": 0}, {"deviceId": "d001", "n": 1}]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT", "found end of the query"),
        ("SELECT * FROM devices.jobs", "found '.'"),
        ("SELECT * FROM devices WHERE", "found end of the query"),
        ("SELECT * FROM devices WHERE tags.a = 'open", "no end"),
        ("SELECT * FROM devices WHERE lower(deviceId) = 'a'", "no function 'lower'"),
        ("SELECT * FROM devices WHERE colour = 'red'", "no property of a twin"),
        ("SELECT * FROM devices WHERE tags.a = 1 GROUP BY tags.a", "found 'GROUP'"),
        ("SELECT * FROM devices; DROP TABLE devices", "unexpected ';'"),
        ("SELECT * FROM devices WHERE " + "(" * 500 + "true" + ")" * 500, "nested"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_reason(hub: LocalHub, query: str, reason: str) -> None:
    with pytest.raises(HttpOperationError) as refusal:
        hub.service().query_iot_hub({"query": query})
    assert refusal.value.response.status_code == 400
    assert reason in refusal.value.response.json()["Message"]


def test_continuation_of_another_query_is_refused(hub: LocalHub) -> None:
    service = hub.service()
    token = service.query_iot_hub({"query": "SELECT * FROM devices"}, None, "1").continuation_token
    with pytest.raises(HttpOperationError) as refusal:
        service.query_iot_hub({"query": "SELECT deviceId FROM devices"}, token)
    assert refusal.value.response.status_code == 400
