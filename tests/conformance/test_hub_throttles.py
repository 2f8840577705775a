"""The documented throttles, met by the real SDKs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.iot.device import exceptions
from azure.iot.hub.models import ExportImportDevice
from msrest.exceptions import HttpOperationError

from emulator.hub import HubConfig
from emulator.hub.throttle import Operation
from tests.support.hub import LocalHub, connected, local_hub


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub"), HubConfig(burst_s=1)) as hub:
        yield hub


def write_when_drained(hub: LocalHub, device_id: str) -> HttpOperationError:
    """One write after the bucket was emptied for many seconds, so that no machine is too slow to be throttled."""
    service = hub.service()
    hub.do(lambda: hub.server.throttle.admit(Operation.TWIN_UPDATE, 5000))
    with pytest.raises(HttpOperationError) as refusal:
        service.update_twin(device_id, {"tags": {"n": 0}})
    return refusal.value


def test_nothing_is_throttled_while_throttles_are_off(hub: LocalHub) -> None:
    hub.create("free")
    service = hub.service()
    for number in range(120):
        service.update_twin("free", {"tags": {"n": number}})
    assert hub.server.statistics().throttled == {}


def test_too_many_twin_updates_are_answered_429(hub: LocalHub) -> None:
    hub.create("hasty")
    hub.server.throttle.set("on")
    refusal = write_when_drained(hub, "hasty")
    assert refusal.response.status_code == 429
    assert refusal.response.json()["Message"].startswith("ErrorCode:ThrottlingException;")
    statistics = hub.server.statistics()
    assert statistics.throttled["TwinUpdate"] == 1
    assert statistics.admitted["TwinUpdate"] == 5000
    hub.server.throttle.set("off")
    hub.service().update_twin("hasty", {"tags": {"n": -1}})


def test_devices_and_services_share_the_twin_updates(hub: LocalHub) -> None:
    hub.create("shared")
    with connected(hub.device("shared")) as client:
        client.get_twin()
        hub.server.throttle.set("on")
        hub.do(lambda: hub.server.throttle.admit(Operation.TWIN_UPDATE, 1000))
        with pytest.raises(exceptions.ClientError) as refusal:
            client.patch_twin_reported_properties({"a": 1})
        assert str(refusal.value.__cause__) == "twin operation returned status 429"
        assert client.get_twin()["reported"] == {"$version": 1}


def test_each_entry_of_a_bulk_update_costs_a_twin_update(hub: LocalHub) -> None:
    hub.create("bulk")
    entries = [ExportImportDevice(id=f"d{number}", import_mode="updateTwin", tags={"a": 1}) for number in range(100)]
    hub.server.throttle.set("on")
    # A bucket of 50 lets one call of 100 through and owes the rest.
    hub.service().bulk_create_or_update_devices(entries)
    with pytest.raises(HttpOperationError) as refusal:
        hub.service().update_twin("bulk", {"tags": {"a": 2}})
    assert refusal.value.response.status_code == 429
    assert hub.server.statistics().admitted["TwinUpdate"] == 100


def test_used_up_quota_is_403_for_services_and_devices(hub: LocalHub) -> None:
    hub.create("quota")
    hub.server.throttle.daily_messages = 1
    service = hub.service()
    service.update_twin("quota", {"tags": {"a": 1}})
    with pytest.raises(HttpOperationError) as refusal:
        service.update_twin("quota", {"tags": {"a": 2}})
    assert refusal.value.response.status_code == 403
    assert refusal.value.response.json()["Message"].startswith("ErrorCode:IotHubQuotaExceeded;")
    assert refusal.value.response.headers["iothub-errorcode"] == "IotHubQuotaExceeded"
    with connected(hub.device("quota")) as client, pytest.raises(exceptions.ClientError) as device_refusal:
        client.patch_twin_reported_properties({"a": 1})
    assert str(device_refusal.value.__cause__) == "twin operation returned status 403"
    hub.server.throttle.daily_messages = None
    assert service.get_twin("quota").tags == {"a": 1}
