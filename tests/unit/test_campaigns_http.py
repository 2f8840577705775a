"""What operators post is checked field by field."""

from __future__ import annotations

import json
from datetime import time
from typing import Any

import pytest

from shared.domain.campaign_specs import DeviceList, DeviceQuery, digest_devices
from shared.domain.gates import Gate
from shared.domain.ids import DeviceId
from shared.domain.targeting import Targeting
from shared.domain.waves import DeviceCount, Matching, Percent, Rest
from shared.domain.windows import Window
from shared.wire.http_campaigns import CampaignRequest, read_campaign_request
from shared.wire.http_fields import InvalidRequest

GOOD: dict[str, Any] = {
    "name": "spring",
    "package": {"name": "thermostat", "version": "2.0.0"},
    "targets": {"query": "SELECT * FROM devices WHERE tags.site = 'A'"},
}


def read(**changes: Any) -> CampaignRequest:
    return read_campaign_request(json.dumps(GOOD | changes).encode())


def test_the_least_request_is_one_wave_with_the_default_gate() -> None:
    spec = read().to_spec()
    assert [(wave.name, wave.size, wave.gate) for wave in spec.waves] == [("wave 1", Rest(), Gate())]
    assert isinstance(spec.targets, DeviceQuery)


def test_a_gate_is_the_default_for_waves_without_one() -> None:
    spec = read(
        gate={"soak_s": 60, "failure_percent": None},
        waves=[{"name": "canary", "count": 1, "gate": {"failure_count": 1}}, {"percent": 12.5}, {"rest": True}],
    ).to_spec()
    assert [wave.size for wave in spec.waves] == [DeviceCount(devices=1), Percent(percent=12.5), Rest()]
    assert [wave.gate.soak_s for wave in spec.waves] == [0, 60, 60]
    assert spec.waves[0].gate == Gate(failure_count=1, failure_percent=None)
    assert spec.waves[1].gate.failure_percent is None


def test_waves_with_a_filter_may_stand_anywhere_and_do_not_count_as_holding_anybody() -> None:
    request = read(waves=[{"filter": "tags.ring = 'canary'"}, {"rest": True}, {"filter": "tags.vip = true"}])
    assert [wave.size for wave in request.to_spec().waves] == [
        Matching(condition="tags.ring = 'canary'"),
        Rest(),
        Matching(condition="tags.vip = true"),
    ]


def test_a_campaign_says_how_long_its_rows_stay() -> None:
    assert read().to_spec().retention_days is None
    assert [read(retention_days=days).to_spec().retention_days for days in (0, 30)] == [0, 30]


@pytest.mark.parametrize("days", [-1, 36_501, 1.5, "30", True])
def test_days_that_nobody_can_count_are_refused(days: Any) -> None:
    with pytest.raises(InvalidRequest, match="retention_days"):
        read(retention_days=days)


def test_devices_named_twice_count_once() -> None:
    targets = read(targets={"devices": ["a#1", "b", "a#1"]}).to_spec().targets
    assert isinstance(targets, DeviceList)
    assert targets.count == 2


def test_requests_that_mean_the_same_have_the_same_digest() -> None:
    assert read().sha256 == read(allow_downgrade=False, gate={"soak_s": 0}).sha256
    assert read().sha256 != read(allow_downgrade=True).sha256


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"nmae": "x"}, "nmae: there is no such field"),
        ({"name": ""}, "name: String should have at least 1"),
        ({"name": "a\nb"}, "name: must be one line"),
        ({"package": {"name": "../etc", "version": "1"}}, "package.name: '../etc' is not a package name"),
        ({"package": {"name": "x"}}, "package.version: Field required"),
        ({"targets": {}}, "targets: give exactly one of devices, query, list and group"),
        (
            {"targets": {"devices": ["a"], "query": "SELECT * FROM devices"}},
            "targets: give exactly one of devices, query, list and group",
        ),
        ({"targets": {"list": "../a"}}, "targets.list: a list is named by"),
        ({"targets": {"group": "Spring!"}}, "targets.group: 'Spring!' is not a group's name"),
        ({"targets": {"list_name": "a"}}, "targets.list_name: there is no such field"),
        ({"targets": {"devices": []}}, "targets.devices: List should have at least 1"),
        ({"targets": {"devices": ["ok", "not ok"]}}, "targets.devices.1: 'not ok' is not an IoT Hub device id"),
        ({"targets": {"devices": [f"d{n}" for n in range(10_001)]}}, "targets.devices: List should have at most 10000"),
        ({"targets": {"query": "SELECT * FROM devices.modules"}}, "targets.query: only SELECT"),
        ({"targets": {"query": "SELECT * FROM devices.jobs"}}, "targets.query: only SELECT"),
        ({"targets": {"query": "DROP devices"}}, "targets.query: only SELECT"),
        (
            {"targets": {"query": "SELECT x FROM devices WHERE y GROUP BY z"}},
            "targets.query: at character 31: expected an",
        ),
        (
            {"targets": {"query": "SELECT * FROM devices WHERE tags.a = 'x"}},
            "targets.query: at character 38: a string has",
        ),
        ({"targets": {"devices": ["a"], "exclude": {}}}, "targets.exclude: give devices, query, list or"),
        ({"targets": {"devices": ["a"], "exclude": {"list": "/a"}}}, "targets.exclude.list: a list is named by"),
        ({"targets": {"devices": ["a"], "exclude": {"group": "A"}}}, "targets.exclude.group: 'A' is not a group's"),
        ({"targets": {"devices": ["a"], "exclude": {"devices": ["a", "b"]}}}, "targets: exclude leaves no device over"),
        ({"targets": {"devices": ["a"], "exclude": {"query": "all"}}}, "targets.exclude.query: only SELECT"),
        ({"targets": {"devices": ["a"], "membership": "dynamic"}}, "targets: membership: only a query"),
        ({"targets": {"list": "a", "membership": "dynamic"}}, "targets: membership: only a query"),
        ({"targets": {"query": "SELECT * FROM devices", "relist_s": 1}}, "targets.relist_s: Input should be greater"),
        ({"waves": []}, "waves: List should have at least 1"),
        ({"waves": [{}]}, "waves.0: give exactly one of count, percent, rest and filter"),
        ({"waves": [{"count": 1, "rest": True}]}, "waves.0: give exactly one of count, percent, rest and filter"),
        ({"waves": [{"rest": False}]}, "waves.0.rest: Input should be True"),
        ({"waves": [{"filter": "tags.a ="}, {"rest": True}]}, "waves.0.filter: at character 9: expected a property"),
        ({"waves": [{"filter": "a = 1"}]}, "waves: the waves may leave devices over"),
        ({"waves": [{"filter": "a = 1"}, {"count": 5}]}, "waves: the waves may leave devices over"),
        ({"waves": [{"filter": "a"}, {"filter": "a"}, {"rest": True}]}, "waves.1.filter: waves.0 takes all devices"),
        (
            {"targets": {"devices": ["a"], "canaries": "random"}},
            "targets.canaries: Input should be 'rotating'",
        ),
        ({"waves": [{"percent": 0}, {"rest": True}]}, "waves.0.percent: Input should be greater than 0"),
        ({"waves": [{"percent": 101}]}, "waves.0.percent: Input should be less than or equal to 100"),
        ({"waves": [{"percent": "10"}]}, "waves.0.percent: Input should be a valid number"),
        ({"waves": [{"rest": True}, {"count": 1}]}, "waves.0.rest: only the last wave without a filter can"),
        (
            {"waves": [{"count": 1}, {"percent": 50}]},
            'waves: the waves may leave devices over; end with {"rest": true}',
        ),
        ({"waves": [{"count": 1}], "targets": {"devices": ["a", "b"]}}, "waves: the waves hold 1 of 2 targets"),
        ({"waves": [{"rest": True}] * 51}, "waves: List should have at most 50"),
        ({"gate": {"success_percent": 101}}, "gate.success_percent: Input should be less"),
        ({"gate": {"soak_s": -1}}, "gate.soak_s: Input should be greater"),
        ({"gate": {"soak_s": float("nan")}}, "gate.soak_s: "),
        ({"deadlines": {"offered_s": 0}}, "deadlines.offered_s: Input should be greater than or equal to 1"),
        ({"allow_downgrade": "yes"}, "allow_downgrade: Input should be a valid boolean"),
        (
            {"package": {"name": "x", "version": 2}},
            "package.version: Input should be a valid string; write it in quotes",
        ),
        (
            {"windows": [{"days": ["fri"], "start": "22", "end": "04:00"}]},
            "windows.0.start: must be a time of day such as 04:30",
        ),
        ({"retries": {"maximum": 1, "codes": ["no space"]}}, "retries.codes.0: must be a code such as no_space"),
        (
            {"schedule": {"start_at": "2026-12-01T22:00"}},
            "schedule.start_at: needs a timezone: an offset from UTC, such",
        ),
        ({"schedule": {"start_at": "tomorrow"}}, "schedule.start_at: must be a time such as 2026-12-01T22:00:00+01:00"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_name_of_the_field(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(**changes)
    assert complaint in refusal.value.message


def test_excluded_devices_count_once_and_do_not_count_as_targets_that_waves_must_hold() -> None:
    request = read(
        targets={"devices": ["a", "b", "c"], "exclude": {"devices": ["c", "c", "x"]}},
        waves=[{"count": 1}, {"count": 1}],
    )
    targeting = request.to_spec().targeting
    assert (targeting.excluded, targeting.excluded_sha256) == (2, digest_devices([DeviceId("c"), DeviceId("x")]))


def test_a_request_without_exclusions_is_signed_as_before() -> None:
    assert read().to_spec().targeting == Targeting()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_campaign_request(body)


def test_waves_of_numbers_or_shares_are_accepted_where_they_hold_all() -> None:
    assert len(read(waves=[{"percent": 30}, {"percent": 70}]).waves) == 2
    assert len(read(waves=[{"count": 1}, {"count": 1}], targets={"devices": ["a", "b"]}).waves) == 2


@pytest.mark.parametrize(
    "query", ["select * from devices", " SELECT deviceId FROM devices ", "SELECT *\nFROM devices\nWHERE a = 'b'"]
)
def test_queries_over_devices_are_accepted(query: str) -> None:
    assert read(targets={"query": query}).targets.query == query.strip()


def test_windows_are_read_with_their_days_and_zone() -> None:
    fields = {"days": ["fri", "mon"], "start": "22:00", "end": "04:00", "zone": "Europe/Berlin"}
    (window,) = read(windows=[fields]).to_spec().windows
    assert window == Window(days=(1, 5), start=time(22), end=time(4), zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("window", "complaint"),
    [
        ({"zone": "localtime"}, "windows.0.zone: 'localtime' is no place's time zone"),
        ({"zone": "right/Europe/Berlin"}, "windows.0.zone: 'right/Europe/Berlin' is no place's"),
        ({"zone": "Mars/Olympus"}, "windows.0.zone: 'Mars/Olympus' is no time zone"),
        ({"days": []}, "windows.0.days"),
        ({"days": ["someday"]}, "windows.0.days.0"),
        ({"start": "25:00"}, "windows.0.start"),
    ],
)
def test_a_window_that_cannot_be_kept_names_its_field(window: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(windows=[{"days": ["mon"], "start": "01:00", "end": "02:00"} | window])
    assert complaint in refused.value.message


@pytest.mark.parametrize(
    ("given", "percent"),
    [
        ({"failure_count": 3}, None),
        ({"failure_count": 3, "failure_percent": 0}, 0.0),
        ({"failure_count": 3, "failure_percent": None}, None),
        ({"failure_count": None}, 0.0),
        ({}, 0.0),
    ],
)
def test_who_counts_failures_sets_no_share_of_them(given: dict[str, Any], percent: float | None) -> None:
    gate = read(gate=given).to_spec().waves[0].gate
    assert (gate.failure_percent, gate.silent_percent) == (percent, 10.0)


def test_who_counts_the_silent_sets_no_share_of_them() -> None:
    gate = read(gate={"silent_count": 3}).to_spec().waves[0].gate
    assert (gate.failure_percent, gate.silent_percent, gate.silent_count) == (0.0, None, 3)


def test_a_share_that_is_left_out_beside_a_count_is_another_request_than_one_that_is_given() -> None:
    alone, both = read(gate={"failure_count": 3}), read(gate={"failure_count": 3, "failure_percent": 0})
    assert alone.sha256 != both.sha256
    assert alone.sha256 == read(gate={"failure_count": 3, "failure_percent": None}).sha256
