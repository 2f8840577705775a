"""The control API changes a running hub: editions, the day's quota, and how old its queries may be."""

import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import QuerySpecification
from msrest.exceptions import HttpOperationError

from emulator.local import LocalCloud
from tests.support.waiting import wait_until


@pytest.fixture
def registry(cloud: LocalCloud, monkeypatch: Any) -> Iterator[IoTHubRegistryManager]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
    yield IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
    cloud.control.set_throttle("off")
    cloud.control.set_daily_messages(None)
    cloud.control.set_query_lag(0)


def test_a_used_up_daily_quota_is_403_until_it_is_lifted(cloud: LocalCloud, registry: IoTHubRegistryManager) -> None:
    registry.create_device_with_sas("quota-at-run-time", "", "", "enabled")
    cloud.control.set_daily_messages(0)
    with pytest.raises(HttpOperationError) as refusal:
        registry.update_twin("quota-at-run-time", {"tags": {"a": 1}})
    assert refusal.value.response.status_code == 403
    assert refusal.value.response.headers["iothub-errorcode"] == "IotHubQuotaExceeded"
    cloud.control.set_daily_messages(None)
    registry.update_twin("quota-at-run-time", {"tags": {"a": 2}})


def test_the_throttles_take_the_rates_of_another_edition(cloud: LocalCloud, registry: IoTHubRegistryManager) -> None:
    cloud.control.resize_hub(tier="S1")
    cloud.control.set_throttle("on")
    assert queries_let_through(registry) == 20  # a minute's worth of S1
    cloud.control.resize_hub(tier="S3")
    assert queries_let_through(registry) == 40


def queries_let_through(registry: IoTHubRegistryManager, attempts: int = 40) -> int:
    for number in range(attempts):
        try:
            count(registry, "none")
        except HttpOperationError as error:
            assert error.response.status_code == 429
            return number
    return attempts


@pytest.mark.parametrize(
    "fields", [{}, {"state": "perhaps"}, {"tier": "S9"}, {"units": 0}, {"dailyMessages": "many"}, {"speed": 1}]
)
def test_unknown_throttles_are_refused(cloud: LocalCloud, fields: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        cloud.control._call("POST", "/throttle", fields)


def count(registry: IoTHubRegistryManager, device_id: str) -> int:
    found = registry.query_iot_hub(QuerySpecification(query="SELECT * FROM devices")).items
    return sum(twin.device_id == device_id for twin in found)


def test_a_query_may_miss_what_was_just_written(cloud: LocalCloud, registry: IoTHubRegistryManager) -> None:
    cloud.control.set_query_lag(3600)
    registry.create_device_with_sas("late", "", "", "enabled")
    assert count(registry, "late") == 0
    assert registry.get_twin("late").device_id == "late", "a read by id is always fresh"
    cloud.control.set_query_lag(0.2)
    registry.delete_device("late")
    wait_until(lambda: count(registry, "late") == 0)
    cloud.control.set_query_lag(0)
    registry.create_device_with_sas("late", "", "", "enabled")
    assert count(registry, "late") == 1
