"""Microsoft's provisioning client against the provisioning service of the local cloud."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from azure.iot.device import exceptions

from emulator.hub import HubConfig, HubServer
from emulator.hub.policies import new_key
from emulator.provisioning import ProvisioningStore, RegistryLink
from shared.domain.enrolment import derive_device_key
from tests.support.certificates import issue_certificate, make_certificate
from tests.support.hub import LocalHub, connected, local_hub
from tests.support.provisioning import GROUP_KEY, SCOPE, LocalProvisioning, local_provisioning

NUMBERS = count(1)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="module")
def other(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A second hub, in the same loop."""
    folder = tmp_path_factory.mktemp("other")
    server = hub.do(lambda: HubServer(config=HubConfig(name="other-hub"), state_dir=folder))
    hub.call(server.start())
    yield server
    hub.call(server.stop())


@pytest.fixture(scope="module")
def service(hub: LocalHub, other: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProvisioning]:
    with local_provisioning(hub, tmp_path_factory.mktemp("dps"), servers=[other]) as service:
        yield service


@pytest.fixture
def dps(service: LocalProvisioning) -> Iterator[LocalProvisioning]:
    """The service with one group, whose devices go to the first hub."""
    service.enrol_group(iotHubHostName=service.hub.server.mqtt_host, initialTwin={"tags": {"site": "north"}})
    yield service
    service.fail()
    service.forget_enrolments()


@pytest.fixture
def name() -> str:
    return f"sn-{next(NUMBERS):03d}"


def refused(dps: LocalProvisioning, name: str, key: str | None = None) -> str:
    """The words of the refusal; the client keeps the service's own ones to itself."""
    client = dps.client(name, key)
    with pytest.raises(exceptions.ClientError) as refusal:
        client.register()
    client._pipeline.shutdown(callback=lambda **_: None)  # it cannot be closed otherwise
    return str(refusal.value.__cause__)


def test_a_device_of_a_group_is_assigned_and_connects_with_the_same_key(dps: LocalProvisioning, name: str) -> None:
    result = dps.client(name).register()

    assert result is not None
    assert (result.status, result.registration_state.sub_status) == ("assigned", "initialAssignment")
    state = result.registration_state
    assert (state.device_id, state.assigned_hub) == (name, dps.hub.server.mqtt_host)
    key = derive_device_key(GROUP_KEY, name)
    text = f"HostName={state.assigned_hub};DeviceId={state.device_id};SharedAccessKey={key}"
    with connected(dps.hub.device_for(text)) as device:
        assert device.get_twin()["desired"]["$version"] == 1
    assert dps.hub.service().get_twin(name).tags == {"site": "north"}
    known = dps.registration(name)
    assert known is not None
    assert (known.group, known.count) == ("fleet", 1)


def test_a_single_device_may_have_an_id_of_its_own_and_goes_before_its_group(dps: LocalProvisioning, name: str) -> None:
    key = new_key()
    dps.enrol(name, key, deviceId=f"{name}-in-the-hub", iotHubHostName=dps.hub.server.mqtt_host)

    result = dps.client(name, key).register()

    assert result is not None
    assert result.registration_state.device_id == f"{name}-in-the-hub"
    assert "401" in refused(dps, name), "the group's key is not the device's any more"

    dps.enrol(name, key, provisioningStatus="disabled")
    assert "401" in refused(dps, name, key)
    assert "401" in refused(dps, name), "a disabled enrolment keeps a device of a group out, too"


def test_a_wrong_key_is_let_in_and_refused_when_it_registers(dps: LocalProvisioning, name: str) -> None:
    assert "401" in refused(dps, name, new_key())
    assert "401" in refused(dps, name, derive_device_key(GROUP_KEY, "another"))
    assert dps.registration(name) is None
    assert dps.hub.do(lambda: dps.hub.server.hub.registry.find(name)) is None


def test_the_payload_comes_to_whoever_allocates(dps: LocalProvisioning, name: str) -> None:
    client = dps.client(name)
    client.provisioning_payload = {"hardware": "rev-b"}
    assert client.register() is not None
    known = dps.registration(name)
    assert known is not None
    assert known.payload == {"hardware": "rev-b"}


def test_a_throttled_client_asks_again(dps: LocalProvisioning, name: str) -> None:
    dps.fail(status=429, count=1, retryAfter=1)
    result = dps.client(name).register()
    assert result is not None
    assert result.status == "assigned"


def test_a_device_registers_by_its_own_certificate(dps: LocalProvisioning, name: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, name)
    kept = {"clientCertificates": {"primary": {"certificate": certificate[0].read_text()}}}
    dps.enrol(name, "", attestation={"type": "x509", "x509": kept})

    result = dps.client_with(name, certificate).register()
    assert result is not None
    assert result.registration_state.device_id == name

    (tmp_path / "forged").mkdir()
    stranger = dps.client_with(name, make_certificate(tmp_path / "forged", name))
    with pytest.raises(exceptions.ClientError):
        stranger.register()


def test_a_device_registers_by_its_groups_authority(dps: LocalProvisioning, name: str, tmp_path: Path) -> None:
    authority = make_certificate(tmp_path, "works")
    kept = {"signingCertificates": {"primary": {"certificate": authority[0].read_text()}}}
    dps.enrol_group("by-certificate", attestation={"type": "x509", "x509": kept})

    result = dps.client_with(name, issue_certificate(tmp_path, name, authority)).register()
    assert result is not None
    assert result.registration_state.device_id == name

    other = dps.client_with(f"{name}-other", issue_certificate(tmp_path, f"{name}-x", authority))
    with pytest.raises(exceptions.ClientError):
        other.register()
    other._pipeline.shutdown(callback=lambda **_: None)


def test_registering_again_keeps_the_device_and_makes_one_that_was_deleted(dps: LocalProvisioning, name: str) -> None:
    dps.client(name).register()
    registry = dps.hub.service()
    registry.update_twin(name, {"properties": {"desired": {"colour": "red"}}})
    first = registry.get_device(name).generation_id

    dps.client(name).register()
    assert registry.get_device(name).generation_id == first
    assert registry.get_twin(name).properties.desired["colour"] == "red"

    registry.delete_device(name)
    dps.client(name).register()
    assert registry.get_device(name).generation_id != first
    assert "colour" not in registry.get_twin(name).properties.desired
    known = dps.registration(name)
    assert known is not None
    assert known.count == 3


@pytest.mark.parametrize(
    ("policy", "moves", "colour", "substatus"),
    [
        ({"updateHubAssignment": True, "migrateDeviceData": True}, True, "red", "deviceDataMigrated"),
        ({"updateHubAssignment": True, "migrateDeviceData": False}, True, None, "deviceDataReset"),
        ({"updateHubAssignment": False, "migrateDeviceData": False}, False, "red", "initialAssignment"),
    ],
)
def test_a_device_moves_to_another_hub_as_its_policy_says(
    dps: LocalProvisioning,
    other: HubServer,
    name: str,
    policy: dict[str, bool],
    moves: bool,
    colour: str | None,
    substatus: str,
) -> None:
    dps.client(name).register()
    dps.hub.service().update_twin(name, {"properties": {"desired": {"colour": "red"}}})
    dps.enrol_group(iotHubHostName=other.mqtt_host, reprovisionPolicy=policy)

    result = dps.client(name).register()

    assert result is not None
    assert result.registration_state.sub_status == substatus
    home = other if moves else dps.hub.server
    assert result.registration_state.assigned_hub == home.mqtt_host
    found = dps.hub.do(lambda: [server.hub.registry.find(name) for server in (dps.hub.server, other)])
    assert [device is not None for device in found] == [not moves, moves]
    device = found[1] if moves else found[0]
    assert device is not None
    assert device.twin.desired.values.get("colour") == colour


def test_what_it_knows_outlives_the_process(dps: LocalProvisioning, name: str) -> None:
    dps.enrol("kept", new_key(), deviceId="kept-1")
    dps.client(name).register()
    document = dps.hub.do(dps.server.store.snapshot)

    again = ProvisioningStore(dps.server.store.config, [RegistryLink(dps.hub.server)])
    again.restore(document)

    assert again.snapshot() == document
    assert again.config.id_scope == SCOPE
    assert again.registrations[name].hub == dps.hub.server.mqtt_host
