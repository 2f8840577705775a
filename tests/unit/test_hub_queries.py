"""Queries are judged before the hub is asked: what it would refuse is refused, and nothing that it takes."""

from __future__ import annotations

import pytest

from emulator.hub.query.parser import parse_query
from shared.domain.errors import DomainError
from shared.domain.hub_queries import check_condition, check_query, narrow_query, queries_among, query_where
from shared.domain.ids import DeviceId

GOOD = [
    "tags.ring = 'canary'",
    "tags.location.region = 'US' AND properties.reported.telemetry.interval >= 15",
    "NOT (tags.a = 1 OR tags.b <> -2.5e3) and tags.c in ['x', \"y\", 3]",
    "deviceId NIN ['a', 'b''s']",
    "is_defined(properties.reported.update) AND STARTSWITH(deviceId, 'gw-')",
    "tags.[[odd name]] = 'it\\'s'",
    "status = 'enabled' AND tags.order = null",
    "devices.tags.x != true",
]
HUB_ONLY = [
    "tags.list[0] = 1",
    "tags.a + 1 > 2 * (tags.b - 3) % 4",
    "CONTAINS(deviceId, 'x') = false",
    "lastActivityTime > '2026-01-01T00:00:00Z'",
    "capabilities.iotEdge",
]


@pytest.mark.parametrize("condition", [*GOOD, *HUB_ONLY])
def test_conditions_that_the_hub_takes_are_taken(condition: str) -> None:
    check_condition(condition)
    check_query(query_where(condition))


@pytest.mark.parametrize("condition", GOOD[:-1])
def test_the_narrowed_query_is_one_that_the_local_hub_understands(condition: str) -> None:
    narrowed = narrow_query("SELECT deviceId FROM devices WHERE tags.a = 1 OR tags.b = 2 ", condition)
    assert narrowed.endswith(f" FROM devices WHERE (tags.a = 1 OR tags.b = 2) AND ({condition})")
    check_query(narrowed)
    parse_query(narrowed)
    parse_query(narrow_query("select * from devices", condition))


def test_asking_for_some_of_a_querys_devices_names_each_once_and_asks_nothing_too_long() -> None:
    lab = "SELECT deviceId FROM devices WHERE tags.lab = true OR tags.bench = 1"
    [one] = queries_among(lab, [DeviceId("it's"), DeviceId("b")])
    assert one.endswith(r"WHERE (tags.lab = true OR tags.bench = 1) AND (deviceId IN ['it\'s', 'b'])")
    assert not list(queries_among(lab, []))
    short, long = [DeviceId(f"d{number}") for number in range(250)], [DeviceId("x" * 120 + str(n)) for n in range(70)]
    for devices, wanted in ((short, 3), (long, 3)):
        queries = list(queries_among(lab, devices))
        assert len(queries) == wanted
        assert sum(query.count("'") for query in queries) == 2 * len(devices)
        for query in queries:
            check_query(query)
            parse_query(query)
    assert next(queries_among("SELECT * FROM devices", short)).startswith("SELECT * FROM devices WHERE deviceId IN [")


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ("", "at character 1: expected a property, a value or a parenthesis, found the end"),
        ("tags.a =", "at character 9: expected a property, a value or a parenthesis, found the end"),
        ("tags.a = 'x", "at character 10: a string has no end"),
        ("(tags.a = 1", "at character 12: expected ')', found the end"),
        ("tags.a = 1)", "at character 11: expected an operator or the end, found ')'"),
        ("tags.a = 1) OR (tags.b = 2", "at character 11: expected an operator or the end, found ')'"),
        ("tags.a LIKE 'x%'", "at character 8: expected an operator or the end, found 'LIKE'"),
        ("tags.a = 1 ORDER BY deviceId", "at character 12: expected an operator or the end, found 'ORDER'"),
        ("tags.a == 1", "at character 9: expected a property, a value or a parenthesis, found '='"),
        ("tags.a = 1 && tags.b = 2", "at character 12: unexpected '&'"),
        ("tags. = 1", "at character 7: expected the name of a property, found '='"),
        ("MATCHES(tags.a, 'x')", "at character 1: there is no function 'MATCHES'"),
        ("tags.a IN []", "at character 12: expected a property, a value or a parenthesis, found ']'"),
        ("tags.a IN ('x')", "at character 11: expected '[', found '('"),
        ("(" * 60 + "a" + ")" * 60, "conditions may be nested 50 deep"),
    ],
)
def test_what_the_hub_would_refuse_is_refused_with_the_place(condition: str, complaint: str) -> None:
    with pytest.raises(DomainError) as refusal:
        check_condition(condition)
    assert refusal.value.message == complaint
