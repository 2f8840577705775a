"""The hub inside the local cloud: the real device SDK with the settings the cloud hands out."""

import uuid
from pathlib import Path

import pytest
from azure.iot.device import IoTHubDeviceClient
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties
from msrest.exceptions import HttpOperationError

from emulator.child import ROOT
from emulator.local import LocalCloud
from tests.support.waiting import wait_until


def test_a_reported_update_takes_the_route_of_the_shipped_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCloud(config=ROOT / "infra/local/cloud.json", state_dir=tmp_path) as cloud:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
        registry = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])
        registry.create_device_with_sas("device-1", "", "", "enabled")
        device = IoTHubDeviceClient.create_from_connection_string(
            cloud.device_connection_string("device-1"),
            server_verification_cert=Path(cloud.settings["CA_FILE"]).read_text(),
        )
        device.connect()
        device.patch_twin_reported_properties({"other": 1})
        device.patch_twin_reported_properties({"update": {"state": "downloading"}})
        registry.update_twin("device-1", Twin(properties=TwinProperties(desired={"update": {"a": 1}})))
        device.shutdown()
        wait_until(lambda: cloud.control.status()["eventHubs"]["twin-changes"]["count"] > 0)
        assert cloud.control.status()["eventHubs"]["twin-changes"] == {"count": 1, "lag": 1}


def test_an_unknown_device_has_no_connection_string(cloud: LocalCloud) -> None:
    with pytest.raises(KeyError):
        cloud.device_connection_string(str(uuid.uuid4()))


def test_throttles_can_be_switched_on_and_off(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", cloud.settings["CA_FILE"])
    registry = IoTHubRegistryManager.from_connection_string(cloud.settings["IotHub"])

    def create_many() -> None:
        for _ in range(120):  # S1 takes 100 registry operations a minute
            registry.create_device_with_sas(str(uuid.uuid4()), "", "", "enabled")

    create_many()
    cloud.control.resize_hub(tier="S1")
    cloud.control.set_throttle("on")
    try:
        with pytest.raises(HttpOperationError, match="Too Many Requests"):
            create_many()
    finally:
        cloud.control.set_throttle("off")
        cloud.control.resize_hub(tier="S3")
    assert sum(cloud.control.status()["hub"]["throttled"].values()) > 0
    create_many()
