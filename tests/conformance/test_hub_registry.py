"""The identity registry, driven by the real service SDK."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.iot.hub.models import ExportImportDevice
from msrest.exceptions import HttpOperationError

from emulator.hub.limits import DEVICE_ID_LENGTH
from tests.support.hub import LocalHub, local_hub

ODD_CHARACTERS = "-.%_*?!(),:=@$'#"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def status_of(refusal: pytest.ExceptionInfo[HttpOperationError]) -> int:
    return int(refusal.value.response.status_code)


def body_of(refusal: pytest.ExceptionInfo[HttpOperationError]) -> str:
    return str(refusal.value.response.json()["Message"])


def entry(device_id: str, mode: str, **fields: object) -> ExportImportDevice:
    return ExportImportDevice(id=device_id, import_mode=mode, **fields)


def test_created_device_comes_back_with_generated_keys(hub: LocalHub) -> None:
    service = hub.service()
    created = service.create_device_with_sas("created", "", "", "enabled")
    found = service.get_device("created")
    assert found.authentication.symmetric_key.primary_key == created.authentication.symmetric_key.primary_key
    assert found.authentication.symmetric_key.primary_key != found.authentication.symmetric_key.secondary_key
    assert (found.status, found.connection_state, found.etag) == ("enabled", "Disconnected", created.etag)


def test_second_creation_is_a_conflict(hub: LocalHub) -> None:
    hub.create("twice")
    with pytest.raises(HttpOperationError) as refusal:
        hub.create("twice")
    assert status_of(refusal) == 409
    assert body_of(refusal).startswith("ErrorCode:DeviceAlreadyExists;")


def test_unknown_device_is_not_found(hub: LocalHub) -> None:
    service = hub.service()
    for attempt in (service.get_device, service.get_twin, service.delete_device):
        with pytest.raises(HttpOperationError) as refusal:
            attempt("nobody")
        assert status_of(refusal) == 404
        assert body_of(refusal).startswith("ErrorCode:DeviceNotFound;")


def test_update_and_delete_with_a_stale_etag_are_refused(hub: LocalHub) -> None:
    service = hub.service()
    stale = service.create_device_with_sas("etags", "", "", "enabled").etag
    fresh = service.update_device_with_sas("etags", stale, "", "", "disabled", status_reason="for repair")
    assert (fresh.status, fresh.status_reason) == ("disabled", "for repair")
    with pytest.raises(HttpOperationError) as refusal:
        service.update_device_with_sas("etags", stale, "", "", "enabled")
    assert status_of(refusal) == 412
    with pytest.raises(HttpOperationError) as refusal:
        service.delete_device("etags", stale)
    assert status_of(refusal) == 412
    service.delete_device("etags", fresh.etag)
    with pytest.raises(HttpOperationError):
        service.get_device("etags")


@pytest.mark.parametrize("character", ODD_CHARACTERS)
def test_every_allowed_character_works_in_urls_and_queries(hub: LocalHub, character: str) -> None:
    service = hub.service()
    device_id = f"a{character}b{character}25"
    service.create_device_with_sas(device_id, "", "", "enabled")
    service.update_twin(device_id, {"tags": {"odd": character}})
    assert service.get_device(device_id).device_id == device_id
    assert service.get_twin(device_id).tags == {"odd": character}
    quoted = device_id.replace("'", "''")
    query = f"SELECT * FROM devices WHERE deviceId = '{quoted}'"  # noqa: S608
    found = service.query_iot_hub({"query": query})
    assert [twin.device_id for twin in found.items] == [device_id]
    service.delete_device(device_id)


@pytest.mark.parametrize("device_id", ["a b", "a/b", "a\\b", "a+b", "ü", "x" * (DEVICE_ID_LENGTH + 1)])
def test_bad_device_ids_are_refused(hub: LocalHub, device_id: str) -> None:
    with pytest.raises(HttpOperationError) as refusal:
        hub.create(device_id)
    assert status_of(refusal) in (400, 404)


def test_bulk_creation_sets_tags_and_desired_properties(hub: LocalHub) -> None:
    service = hub.service()
    outcome = service.bulk_create_or_update_devices(
        [entry(f"bulk-{number}", "create", tags={"number": number}) for number in range(100)]
    )
    assert outcome.is_successful
    assert service.get_twin("bulk-99").tags == {"number": 99}


def test_bulk_errors_name_their_devices_and_spare_the_others(hub: LocalHub) -> None:
    hub.create("bulk-known")
    outcome = hub.service().bulk_create_or_update_devices(
        [
            entry("bulk-known", "create"),
            entry("bulk-new", "create"),
            entry("bulk-new", "create"),
            entry("bulk-missing", "delete"),
            entry("bulk bad", "create"),
        ]
    )
    assert not outcome.is_successful
    assert [(error.device_id, error.error_code) for error in outcome.errors] == [
        ("bulk-known", "DeviceAlreadyExists"),
        ("bulk-new", "DeviceDefinedMultipleTimes"),
        ("bulk-missing", "DeviceNotFound"),
        ("bulk bad", "ArgumentInvalid"),
    ]
    assert hub.service().get_device("bulk-new").status == "enabled"


def test_bulk_twin_updates_merge_and_report_per_device(hub: LocalHub) -> None:
    hub.create("bulk-twin")
    service = hub.service()
    service.update_twin("bulk-twin", {"properties": {"desired": {"kept": 1, "gone": 2}}})
    patch = {"desired": {"gone": None, "new": {"deep": True}}}
    outcome = service.bulk_create_or_update_devices(
        [entry("bulk-twin", "updateTwin", properties=patch), entry("bulk-ghost", "updateTwin", properties=patch)]
    )
    assert [(error.device_id, error.error_code) for error in outcome.errors] == [("bulk-ghost", "DeviceNotFound")]
    desired = service.get_twin("bulk-twin").properties.desired
    assert {key: desired[key] for key in desired if not key.startswith("$")} == {"kept": 1, "new": {"deep": True}}


def test_bulk_twin_update_with_a_stale_etag_is_refused(hub: LocalHub) -> None:
    hub.create("bulk-etag")
    service = hub.service()
    stale = service.get_twin("bulk-etag").etag
    service.update_twin("bulk-etag", {"tags": {"a": 1}})
    outcome = service.bulk_create_or_update_devices(
        [entry("bulk-etag", "updateTwinIfMatchETag", twin_etag=stale, tags={"a": 2})]
    )
    assert [error.error_code for error in outcome.errors] == ["PreconditionFailed"]
    assert service.get_twin("bulk-etag").tags == {"a": 1}


def test_more_than_a_hundred_in_bulk_are_refused(hub: LocalHub) -> None:
    with pytest.raises(HttpOperationError) as refusal:
        hub.service().bulk_create_or_update_devices([entry(f"many-{number}", "create") for number in range(101)])
    assert status_of(refusal) == 413
    assert body_of(refusal).startswith("ErrorCode:TooManyDevices;")


def test_statistics_and_list_follow_the_registry(hub: LocalHub) -> None:
    service = hub.service()
    before = service.get_device_registry_statistics()
    service.create_device_with_sas("counted-1", "", "", "enabled")
    service.create_device_with_sas("counted-2", "", "", "disabled")
    after = service.get_device_registry_statistics()
    assert after.total_device_count - before.total_device_count == 2
    assert after.disabled_device_count - before.disabled_device_count == 1
    assert {"counted-1", "counted-2"} <= {device.device_id for device in service.get_devices()}
    assert len(service.get_devices(1)) == 1


def test_creation_and_deletion_are_told_as_lifecycle_events(hub: LocalHub) -> None:
    hub.create("born")
    hub.service().delete_device("born")
    created = hub.wait_for_event("born", "createDeviceIdentity")
    deleted = hub.wait_for_event("born", "deleteDeviceIdentity")
    for event in (created, deleted):
        assert event.body["deviceId"] == "born"
        assert event.application_properties["iothub-message-schema"] == "deviceLifecycleNotification"
        assert event.system_properties["iothub-message-source"] == "deviceLifecycleEvents"
