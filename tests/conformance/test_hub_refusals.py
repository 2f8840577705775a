"""What the hub refuses, with the status codes of the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests
from azure.iot.device import exceptions
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod
from azure.iot.hub.sastoken import SasToken
from msrest.exceptions import HttpOperationError

from emulator.hub.policies import new_key
from emulator.hub.rest.app import API_VERSION
from tests.support.hub import LocalHub, connected, local_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def assert_unauthorized(attempt: Callable[[], object]) -> None:
    with pytest.raises(HttpOperationError) as refusal:
        attempt()
    assert refusal.value.response.status_code == 401
    assert refusal.value.response.json()["Message"] == "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"


def test_wrong_service_key_is_unauthorized(hub: LocalHub) -> None:
    good = hub.server.service_connection_string
    wrong = good.replace(good.partition("SharedAccessKey=")[2], new_key())
    service = IoTHubRegistryManager.from_connection_string(wrong)
    assert_unauthorized(lambda: service.get_device("anybody"))


def test_policies_allow_only_their_part(hub: LocalHub) -> None:
    hub.create("policies")
    assert hub.service("registryRead").get_device("policies").device_id == "policies"
    assert hub.service("service").get_twin("policies").version == 2
    assert_unauthorized(lambda: hub.service("registryRead").create_device_with_sas("no", "", "", "enabled"))
    assert_unauthorized(lambda: hub.service("registryReadWrite").get_twin("policies"))
    assert_unauthorized(lambda: hub.service("service").get_device("policies"))
    assert_unauthorized(lambda: hub.service("device").get_twin("policies"))


@pytest.mark.parametrize("fault", ["expired", "other host", "no policy", "no token"])
def test_unfit_service_tokens_are_unauthorized(hub: LocalHub, fault: str) -> None:
    host = f"localhost:{hub.server.rest_port}"
    key = hub.server.hub.policies.keys["iothubowner"]
    tokens = {
        "expired": str(SasToken(host, key, "iothubowner", ttl=-5)),
        "other host": str(SasToken("another.azure-devices.net", key, "iothubowner")),
        "no policy": str(SasToken(host, key)),
        "no token": "Bearer of bad news",
    }
    answer = requests.get(
        f"https://{host}/devices",
        params={"api-version": API_VERSION},
        headers={"Authorization": tokens[fault]},
        timeout=10,
    )
    assert answer.status_code == 401
    assert answer.headers["iothub-errorcode"] == "IotHubUnauthorizedAccess"


def test_service_that_does_not_trust_the_ca_cannot_connect(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://localhost:{hub.server.rest_port}/devices", timeout=10)


def test_device_that_does_not_trust_the_ca_cannot_connect(hub: LocalHub) -> None:
    hub.create("distrust")
    client = hub.device("distrust", server_verification_cert=None)
    with pytest.raises(exceptions.ClientError, match="TLS"), connected(client):
        pass


def test_wrong_device_key_is_refused(hub: LocalHub) -> None:
    hub.create("key-a", "key-b")
    other = hub.do(lambda: hub.server.device_connection_string("key-b"))
    with (
        pytest.raises(exceptions.CredentialError),
        connected(hub.device_for(other.replace("DeviceId=key-b", "DeviceId=key-a"))),
    ):
        pass


def test_unknown_device_is_refused(hub: LocalHub) -> None:
    connection = f"HostName={hub.server.mqtt_host};DeviceId=unknown;SharedAccessKey={new_key()}"
    with pytest.raises(exceptions.CredentialError), connected(hub.device_for(connection)):
        pass


def test_device_of_another_hub_is_refused(hub: LocalHub) -> None:
    hub.create("abroad")
    key = hub.do(lambda: hub.server.device_connection_string("abroad")).partition("SharedAccessKey=")[2]
    connection = (
        f"HostName=another.azure-devices.net;DeviceId=abroad;SharedAccessKey={key};"
        f"GatewayHostName={hub.server.mqtt_host}"
    )
    with pytest.raises(exceptions.CredentialError), connected(hub.device_for(connection)):
        pass


def test_method_of_an_offline_device_is_not_found(hub: LocalHub) -> None:
    hub.create("offline")
    with pytest.raises(HttpOperationError) as refusal:
        hub.service().invoke_device_method("offline", CloudToDeviceMethod(method_name="m"))
    assert refusal.value.response.status_code == 404
    assert '"errorCode": 404103' in refusal.value.response.json()["Message"]


def test_unknown_api_version_route_and_method_are_refused(hub: LocalHub) -> None:
    assert hub.call_rest("GET", "/devices?api-version=2016-02-03").status_code == 400
    assert hub.call_rest("GET", "/nowhere").status_code == 404
    assert hub.call_rest("PATCH", "/devices/d").status_code == 405
    assert hub.call_rest("PUT", "/devices/d", b'{"deviceId": "e"}').status_code == 400
    assert hub.call_rest("PUT", "/devices/d", b'{"deviceId": "d", "status": "asleep"}').status_code == 400
