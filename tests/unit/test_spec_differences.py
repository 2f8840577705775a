"""How a campaign differs from a request, told by the fields that a person wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.campaign_specs import CampaignSpec
from shared.domain.gates import Gate
from shared.domain.rollouts import PackageTarget
from shared.domain.targeting import Revision, Targeting
from shared.domain.waves import DeviceCount, Rest, WaveSpec
from shared.wire.asked_specs import write_as_asked
from shared.wire.http_campaigns import CampaignRequest
from shared.wire.spec_differences import Difference, find_differences
from tests.support.specimens import specimens

ONE: dict[str, Any] = {
    "name": "spring",
    "package": {"name": "tool", "version": "2"},
    "targets": {"query": "SELECT * FROM devices"},
    "waves": [{"name": "canary", "count": 5}, {"name": "all", "rest": True}],
}
TWO = {name: value for name, value in ONE.items() if name != "package"} | {
    "packages": [{"name": "tool", "version": "2"}, {"name": "other", "version": "3"}]
}
EVERYTHING: dict[str, Any] = TWO | {
    "targets": {
        "query": "SELECT * FROM devices",
        "exclude": {"query": "SELECT * FROM devices WHERE tags.lab = true"},
        "canaries": "fixed",
        "membership": "dynamic",
        "relist_s": 60,
    },
    "waves": [
        {"name": "canary", "filter": "tags.ring = 'canary'", "gate": {"failure_count": 3, "soak_s": 60}},
        {"name": "five", "count": 5},
        {"name": "tenth", "percent": 10},
        {"name": "all", "rest": True},
    ],
    "gate": {"success_percent": 95, "minimum_completed": 20, "failure_percent": 2},
    "deadlines": {"offered_s": 60},
    "allow_downgrade": True,
    "windows": [{"days": ["fri", "sat"], "start": "22:00", "end": "04:30", "zone": "Europe/Berlin"}],
    "retries": {"maximum": 2, "codes": ["no_*"]},
    "on_late_failure": "alert",
    "rate": {"base_per_minute": 1, "factor": 2, "after_succeeded": 10, "maximum_per_minute": 60},
    "bandwidth_bytes_per_s": 4096,
    "quarantine": {"minimum": 3},
    "priority": 900,
    "on_conflict": "supersede",
    "approval": {"required": 2, "between_waves": True},
    "schedule": {"start_at": "2026-01-05T12:00:00Z", "end_at": "2026-01-06T12:00:00Z", "at_end": "cancel"},
    "retention_days": 30,
}


def asked(body: dict[str, Any], **changed: Any) -> CampaignRequest:
    return CampaignRequest.model_validate_json(json.dumps(body | changed))


def drift(before: CampaignRequest, after: CampaignRequest) -> list[tuple[str, str | None, str | None]]:
    """What of a campaign that was made by the one is not as the other asks."""
    differences = find_differences(before.to_spec(), after.to_spec(), after)
    return [(each.field, each.theirs, each.ours) for each in differences]


BASE, *OTHERS = specimens(CampaignSpec)


def test_specimens_differ_in_every_field() -> None:
    """What the test below rests upon: nothing of a specification stays the same in all of them."""
    for name in CampaignSpec.__dataclass_fields__:
        assert any(getattr(other, name) != getattr(BASE, name) for other in OTHERS), name


@pytest.mark.parametrize("body", [ONE, TWO, EVERYTHING], ids=["one", "two", "everything"])
def test_every_field_of_a_specification_is_told_by_a_field_of_requests(body: dict[str, Any]) -> None:
    """Whoever adds one to ``CampaignSpec`` without a place in ``CampaignRequest`` is told here."""
    request, schema = asked(body), CampaignRequest.model_json_schema(by_alias=True)
    for other in OTHERS:
        differences = find_differences(BASE, other, request)
        assert bool(differences) == (_unedited(BASE) != _unedited(other)), other
        for each in differences:
            assert has_field(schema, schema, each.field.split(".")), each
            assert each.theirs != each.ours


def _unedited(spec: CampaignSpec) -> CampaignSpec:
    """It without who edited its waves, which nobody asks for."""
    return replace(spec, targeting=replace(spec.targeting, revision=Revision()))


def has_field(schema: dict[str, Any], node: dict[str, Any], path: list[str]) -> bool:
    """Whether a JSON Schema has a place for the field."""
    if not path:
        return True
    return any(has_field(schema, below, path[1:]) for below in _members(schema, node, path[0]))


def _members(schema: dict[str, Any], node: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    if "$ref" in node:
        yield from _members(schema, schema["$defs"][node["$ref"].rpartition("/")[2]], name)
    for choice in node.get("anyOf", ()):
        yield from _members(schema, choice, name)
    if name.isdecimal() and "items" in node:
        yield node["items"]
    elif name in node.get("properties", {}):
        yield node["properties"][name]


def test_a_specification_as_it_is_asked_for_is_a_request_for_it() -> None:
    spec = asked(EVERYTHING).to_spec()
    assert asked(write_as_asked(spec)).to_spec() == spec


def test_the_same_is_no_drift_however_it_is_said() -> None:
    said_once = asked(ONE, gate={"failure_percent": 2})
    waves = [wave | {"gate": {"failure_percent": 2}} for wave in ONE["waves"]]
    assert drift(said_once, asked(ONE, waves=waves)) == []


@pytest.mark.parametrize(
    ("body", "changed", "found"),
    [
        (ONE, {"package": {"name": "tool", "version": "3"}}, [("package.version", "2", "3")]),
        (
            TWO,
            {"packages": [{"name": "tool", "version": "2"}, {"name": "other", "version": "4"}]},
            [("packages.1.version", "3", "4")],
        ),
        (ONE, {"rate": {"devices_per_minute": 90}}, [("rate", None, '{"devices_per_minute": 90}')]),
        (ONE, {"bandwidth_bytes_per_s": 4096}, [("bandwidth_bytes_per_s", None, "4096")]),
        (ONE, {"priority": 501, "on_conflict": "wait"}, [("priority", "500", "501"), ("on_conflict", "skip", "wait")]),
        (ONE, {"allow_downgrade": True}, [("allow_downgrade", "false", "true")]),
        (ONE, {"deadlines": {"offered_s": 1234567}}, [("deadlines.offered_s", "604800", "1234567")]),
        (
            ONE,
            {"retries": {"maximum": 2, "codes": ["a", "b"]}},
            [("retries.maximum", "0", "2"), ("retries.codes", "*", "a, b")],
        ),
        (ONE, {"gate": {"soak_s": 60}}, [("gate.soak_s", "0", "60")]),
        (ONE, {"gate": {"failure_count": 3}}, [("gate.failure_percent", "0", None), ("gate.failure_count", None, "3")]),
        (
            ONE,
            {"waves": [ONE["waves"][0] | {"gate": {"soak_s": 60}}, ONE["waves"][1]]},
            [("waves.0.gate.soak_s", "0", "60")],
        ),
        (
            ONE,
            {"waves": [{"name": "canary", "percent": 5}, ONE["waves"][1]]},
            [("waves.0.count", "5", None), ("waves.0.percent", None, "5")],
        ),
        (
            EVERYTHING,
            {"windows": [EVERYTHING["windows"][0] | {"days": ["fri"], "end": "05:00"}]},
            [("windows.0.days", "fri, sat", "fri"), ("windows.0.end", "04:30", "05:00")],
        ),
        (EVERYTHING, {"quarantine": None}, [("quarantine", '{"minimum": 3, "failure_percent": 50}', None)]),
        (
            EVERYTHING,
            {"schedule": EVERYTHING["schedule"] | {"end_at": "2026-01-07T12:00:00+01:00"}},
            [("schedule.end_at", "2026-01-06T12:00:00Z", "2026-01-07T11:00:00Z")],
        ),
        (
            EVERYTHING,
            {"targets": EVERYTHING["targets"] | {"exclude": {"query": "SELECT * FROM devices WHERE tags.x = 1"}}},
            [
                (
                    "targets.exclude.query",
                    "SELECT * FROM devices WHERE tags.lab = true",
                    "SELECT * FROM devices WHERE tags.x = 1",
                )
            ],
        ),
    ],
)
def test_drift_is_told_by_the_fields_that_a_person_wrote(
    body: dict[str, Any], changed: dict[str, Any], found: list[tuple[str, str | None, str | None]]
) -> None:
    assert drift(asked(body), asked(body, **changed)) == found


def test_a_second_package_stands_where_the_file_has_it() -> None:
    assert drift(asked(ONE), asked(TWO)) == [("packages.1", None, '{"name": "other", "version": "3"}')]
    assert drift(asked(TWO), asked(ONE)) == [("packages.1", '{"name": "other", "version": "3"}', None)]
    later = [{"name": "tool", "version": "9"}, TWO["packages"][1]]
    assert drift(asked(ONE), asked(TWO, packages=later))[0] == ("packages.0.version", "2", "9")
    assert drift(asked(TWO, packages=later), asked(ONE))[0] == ("package.version", "9", "2")


def test_a_wave_more_or_less_is_one_difference() -> None:
    shorter, longer = asked(ONE, waves=ONE["waves"][1:]), asked(ONE)
    fields = [field for field, _, _ in drift(shorter, longer)]
    assert fields == ["waves.0.name", "waves.0.rest", "waves.0.count", "waves.1"]
    assert drift(shorter, longer)[-1][1] is None


def test_a_gate_that_somebody_gave_one_wave_alone_is_told_of_that_wave() -> None:
    request = asked(ONE)
    spec = request.to_spec()
    canary, rest = spec.waves
    edited = replace(spec, waves=(canary, replace(rest, gate=Gate(soak_s=60))))
    assert find_differences(edited, spec, request) == [
        Difference(field="waves.1.gate.soak_s", theirs="60", ours="0"),
    ]


def test_targets_are_told_by_what_they_were_named_by() -> None:
    by_list, by_group = (asked(ONE, targets={name: "north"}) for name in ("list", "group"))
    spec = asked(ONE, targets={"devices": ["a", "b"]}).to_spec()
    listed = replace(spec, targeting=Targeting(list_name="north"))
    moved = replace(asked(ONE, targets={"devices": ["a"]}).to_spec(), targeting=listed.targeting)
    [difference] = find_differences(listed, moved, by_list)
    assert difference.field == "targets.list"
    assert (difference.theirs or "").startswith("north (2 devices (sha256 ")
    grouped = replace(asked(ONE).to_spec(), targeting=Targeting(group="north"))
    assert find_differences(listed, grouped, by_group) == [
        Difference(field="targets.list", theirs=difference.theirs, ours=None),
        Difference(field="targets.group", theirs=None, ours="north (SELECT * FROM devices)"),
    ]


@pytest.mark.parametrize(
    ("exclude", "field"),
    [
        ({"devices": ["x"]}, "devices"),
        ({"list": "lab"}, "list"),
        ({"group": "lab"}, "group"),
        ({"devices": ["x"], "group": "lab"}, "devices"),
    ],
)
def test_ids_that_are_left_out_are_told_by_where_the_request_has_them(exclude: dict[str, Any], field: str) -> None:
    request = asked(ONE, targets=ONE["targets"] | {"exclude": exclude})
    before, after = (
        replace(request.to_spec(), targeting=Targeting(excluded=count, excluded_sha256="ab" * 32, excluded_group="lab"))
        for count in (3, 4)
    )
    [difference] = find_differences(before, after, request)
    assert difference.field == f"targets.exclude.{field}"


def test_waves_that_nobody_named_are_all_of_the_campaign() -> None:
    request = asked({name: value for name, value in ONE.items() if name != "waves"})
    spec = request.to_spec()
    cut = replace(spec, waves=(WaveSpec(name="half", size=DeviceCount(devices=2)), WaveSpec(name="all", size=Rest())))
    assert [each.field for each in find_differences(cut, spec, request)] == [
        "waves.0.name",
        "waves.0.count",
        "waves.0.rest",
        "waves.1",
    ]
    assert PackageTarget(name="tool", version="2") == spec.package
