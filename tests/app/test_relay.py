"""Relaying: what the hub's events report becomes few events, one for each table partition."""

from __future__ import annotations

import pytest

from shared.domain.ids import DeviceId, ring_position
from shared.domain.rollouts import RolloutState
from shared.ports.errors import Unavailable
from shared.wire.reports import read_report_batch
from tests.support.data_plane import DataPlane, twin_event
from tests.support.rollouts import CAMPAIGN, TARGET

S = RolloutState


def published(plane: DataPlane) -> list[tuple[str, RolloutState]]:
    batches = [read_report_batch(event.data) for event in plane.events.events]
    return [(report.device, report.state) for batch in batches for report in batch.reports]


def test_a_thousand_reports_of_one_shard_become_eleven_events_in_ring_order() -> None:
    plane = DataPlane([f"gw-{number}" for number in range(1000)])
    assert plane.relay([plane.says(name, "downloading", 1) for name in plane.names]) == 1000
    assert len(plane.events.events) == 11
    positions = [ring_position(DeviceId(device)) for device, _ in published(plane)]
    assert positions == sorted(positions)
    assert {event.subject for event in plane.events.events} == {f"{CAMPAIGN}~00"}


def test_reports_are_grouped_by_the_campaigns_own_shards() -> None:
    plane = DataPlane([f"gw-{number}" for number in range(20)], shards=4)
    plane.relay([plane.says(name, "downloading", 1) for name in plane.names])
    assert {event.subject for event in plane.events.events} == {f"{CAMPAIGN}~{shard:02d}" for shard in range(4)}


def test_only_a_devices_newest_report_goes_on_but_an_end_is_never_lost() -> None:
    plane = DataPlane(["gw-0", "gw-1"])
    plane.relay(
        [
            plane.says("gw-0", "installing", 2),
            plane.says("gw-0", "downloading", 1),
            plane.says("gw-1", "succeeded", 3),
            plane.says("gw-1", "downloading", 4),
        ]
    )
    assert sorted(published(plane)) == [
        ("gw-0", S.INSTALLING),
        ("gw-1", S.DOWNLOADING),
        ("gw-1", S.SUCCEEDED),
    ]


def test_relaying_again_publishes_the_same_events_under_the_same_ids() -> None:
    plane = DataPlane(["gw-0", "gw-1"])
    events = [plane.says(name, "downloading", 1) for name in plane.names]
    plane.relay(events)
    plane.relay(list(reversed(events)))
    first, second = plane.events.events
    assert first == second


def test_an_event_that_lacks_keys_is_completed_from_the_twin_with_one_read() -> None:
    plane = DataPlane(["gw-0"])
    plane.says("gw-0", "succeeded", 7)
    partial = twin_event("gw-0", {"update": {"progress": 100}, "$version": 7})
    assert plane.relay([partial, partial]) == 1
    assert published(plane) == [("gw-0", S.SUCCEEDED)]
    assert plane.hub.reads["gw-0"] == 1


def test_partial_events_of_deleted_devices_and_of_empty_twins_say_nothing() -> None:
    plane = DataPlane(["gw-0"])
    events = [twin_event(device, {"update": {"progress": 1}, "$version": 1}) for device in ("gw-0", "gone")]
    assert plane.relay(events) == 0


def test_an_event_nobody_can_read_is_parked_and_the_others_go_on() -> None:
    plane = DataPlane(["gw-0"])
    good = plane.says("gw-0", "downloading", 1)
    no_mark = twin_event("gw-0", {"update": dict(plane.hub.reported[DeviceId("gw-0")]["update"])})
    no_state = twin_event("gw-0", plane.hub.reported[DeviceId("gw-0")] | {"update": {"state": "dancing"}})
    whole_no_state = twin_event(
        "gw-0",
        plane.hub.reported[DeviceId("gw-0")]
        | {"update": plane.hub.reported[DeviceId("gw-0")]["update"] | {"state": "dancing"}},
    )
    nobody = twin_event("", {"update": {}})
    assert plane.relay([nobody, no_mark, whole_no_state, no_state, good]) == 1
    assert len(plane.parking.parked) == 3
    assert {code for code, _ in plane.parking.parked.values()} == {"malformed_message"}


def test_reports_for_campaigns_nobody_started_are_ignored() -> None:
    plane = DataPlane(["gw-0"])
    event = plane.says("gw-0", "downloading", 1, campaign="no-such-campaign")
    assert plane.relay([event]) == 0
    assert not plane.parking.parked
    assert not plane.events.events


def test_the_versions_of_other_packages_stay_behind() -> None:
    plane = DataPlane(["gw-0"])
    installed = {f"package-{number}": "1.0" for number in range(300)} | {"gateway%2Efirmware": TARGET.version}
    plane.relay([plane.says("gw-0", "succeeded", 1, installed=installed)])
    [event] = plane.events.events
    assert read_report_batch(event.data).reports[0].installed == {TARGET.name: TARGET.version}
    assert len(event.data) < 1000


def test_an_outage_of_the_topic_is_given_back_to_the_host() -> None:
    plane = DataPlane(["gw-0"])
    plane.events.is_down = True
    with pytest.raises(Unavailable):
        plane.relay([plane.says("gw-0", "downloading", 1)])
