"""Device twins, driven by the real service SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
from msrest.exceptions import HttpOperationError

from emulator.hub import limits
from tests.support.hub import LocalHub, local_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def plain(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if not key.startswith("$")}


def desired(**values: Any) -> dict[str, Any]:
    return {"properties": {"desired": values}}


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {"leaf": 1}
    for _ in range(depth):
        document = {"o": document}
    return document


def test_patch_merges_and_null_removes(hub: LocalHub) -> None:
    hub.create("merging")
    service = hub.service()
    service.update_twin("merging", {"tags": {"site": "here"}, **desired(a={"b": 1, "c": 2}, d=3)})
    twin = service.update_twin("merging", desired(a={"b": None, "e": [1, 2]}, d=None))
    assert plain(twin.properties.desired) == {"a": {"c": 2, "e": [1, 2]}}
    assert twin.tags == {"site": "here"}


def test_metadata_says_when_and_in_which_version_each_property_was_written(hub: LocalHub) -> None:
    hub.create("metadata")
    service = hub.service()
    service.update_twin("metadata", desired(old={"x": 1}))
    twin = service.update_twin("metadata", desired(new={"y": 2}))
    assert twin.properties.desired["$version"] == 3
    metadata = twin.properties.desired["$metadata"]
    assert (metadata["old"]["x"]["$lastUpdatedVersion"], metadata["new"]["y"]["$lastUpdatedVersion"]) == (2, 3)
    old, new = (datetime.fromisoformat(metadata[key]["$lastUpdated"]) for key in ("old", "new"))
    assert old < new
    assert metadata["$lastUpdated"] == metadata["new"]["$lastUpdated"]


def test_replace_leaves_nothing_of_the_old(hub: LocalHub) -> None:
    hub.create("replacing")
    service = hub.service()
    service.update_twin("replacing", {"tags": {"old": 1}, **desired(old=1)})
    twin = service.replace_twin("replacing", {"tags": {"new": 2}, **desired(new=2)})
    assert (twin.tags, plain(twin.properties.desired)) == ({"new": 2}, {"new": 2})
    event = hub.wait_for_event("replacing", "replaceTwin")
    assert event.body["deviceId"] == "replacing"
    assert (event.body["tags"], plain(event.body["properties"]["desired"])) == ({"new": 2}, {"new": 2})


def test_stale_etag_is_refused_and_changes_nothing(hub: LocalHub) -> None:
    hub.create("stale")
    service = hub.service()
    stale = service.get_twin("stale").etag
    fresh = service.update_twin("stale", desired(a=1), etag=stale)
    for write in (service.update_twin, service.replace_twin):
        with pytest.raises(HttpOperationError) as refusal:
            write("stale", desired(a=2), etag=stale)
        assert refusal.value.response.status_code == 412
        assert "PreconditionFailed" in refusal.value.response.json()["Message"]
    assert service.get_twin("stale").etag == fresh.etag
    assert service.update_twin("stale", desired(a=2), etag=fresh.etag).properties.desired["a"] == 2


def test_a_twin_can_be_sent_back_as_it_came(hub: LocalHub) -> None:
    hub.create("back")
    service = hub.service()
    service.update_twin("back", desired(a=1))
    twin = service.get_twin("back")
    assert plain(service.update_twin("back", twin).properties.desired) == {"a": 1}


@pytest.mark.parametrize(
    "patch",
    [
        desired(**{"with.dot": 1}),
        desired(**{"with space": 1}),
        desired(a={"$dollar": 1}),
        desired(**{"x" * (limits.KEY_BYTES + 1): 1}),
        desired(a="x" * (limits.STRING_BYTES + 1)),
        desired(a=limits.MAX_INTEGER + 1),
        desired(a=limits.MIN_INTEGER - 1),
        desired(**nested(limits.DEPTH + 1)),
        {"tags": {f"k{number}": "x" * 1024 for number in range(9)}},
        desired(**{f"k{number}": "x" * 4096 for number in range(9)}),
    ],
    ids=lambda patch: str(patch)[:40],
)
def test_what_no_twin_may_hold_is_refused(hub: LocalHub, patch: dict[str, Any]) -> None:
    service = hub.service()
    service.create_device_with_sas("limits", "", "", "enabled")
    try:
        with pytest.raises(HttpOperationError) as refusal:
            service.update_twin("limits", patch)
        assert refusal.value.response.status_code == 400
        assert refusal.value.response.json()["Message"].startswith("ErrorCode:ArgumentInvalid;")
        assert service.get_twin("limits").version == 2
    finally:
        service.delete_device("limits")


def test_the_largest_allowed_twin_is_taken(hub: LocalHub) -> None:
    hub.create("largest")
    service = hub.service()
    full = {f"key{number:05}": "x" * (4096 - 8) for number in range(8)}
    twin = service.update_twin("largest", desired(**full))
    assert plain(twin.properties.desired) == full
    with pytest.raises(HttpOperationError):
        service.update_twin("largest", desired(one=1))
    assert plain(service.replace_twin("largest", desired(**nested(limits.DEPTH))).properties.desired)


@pytest.mark.parametrize(
    "body", [b"{no json", b"[]", b'{"tags": "text"}', b'{"properties": {"desired": [1]}}', b'{"tags": {"a": NaN}}']
)
def test_malformed_bodies_are_refused(hub: LocalHub, body: bytes) -> None:
    answer = hub.call_rest("PATCH", "/twins/malformed", body)
    assert answer.status_code == 400
    assert answer.json()["Message"].startswith("ErrorCode:ArgumentInvalid;")
    assert answer.json()["ExceptionMessage"].startswith("Tracking ID:")


def test_twin_change_event_holds_only_what_changed(hub: LocalHub) -> None:
    hub.create("telling")
    service = hub.service()
    service.update_twin("telling", {"tags": {"kept": 1}, **desired(kept=1)})
    twin = service.update_twin("telling", desired(update={"state": "offered"}))
    event = hub.wait_for_event("telling", "updateTwin", count=2)
    section = event.body["properties"]["desired"]
    assert set(event.body) == {"version", "properties"}
    assert event.body["version"] == twin.version
    assert plain(section) == {"update": {"state": "offered"}}
    assert section["$version"] == twin.properties.desired["$version"]
    assert section["$metadata"]["update"]["state"] == twin.properties.desired["$metadata"]["update"]["state"]
    assert set(section["$metadata"]) == {"$lastUpdated", "$lastUpdatedVersion", "update"}
    properties = event.application_properties
    assert (properties["deviceId"], properties["hubName"]) == ("telling", "local-hub")
    assert properties["iothub-message-schema"] == "twinChangeNotification"
    assert event.system_properties["iothub-connection-device-id"] == "telling"
    assert event.system_properties["iothub-message-source"] == "twinChangeEvents"
    assert datetime.fromisoformat(event.system_properties["iothub-enqueuedtime"]) == event.enqueued_at


def test_tag_changes_are_told_as_tags(hub: LocalHub) -> None:
    hub.create("tagged")
    hub.service().update_twin("tagged", {"tags": {"site": "north", "gone": None}})
    assert dict(hub.wait_for_event("tagged", "updateTwin").body) == {
        "version": 3,
        "tags": {"site": "north", "gone": None},
    }
