"""The agent signs in with an X.509 certificate: the real device SDK against the hub, by its thumbprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msrest.exceptions import HttpOperationError

from agent.adapters.iot_hub import HubAddress, IotHubChannel
from agent.ports import ChannelDown, ChannelUnauthorized, Event
from emulator.hub import HubConfig, HubServer
from tests.support.certificates import make_certificate
from tests.support.hub import LocalHub, local_hub
from tests.support.waiting import wait_until

DEVICE = "by-certificate"


def thumbprint(certificate: Path, kind: str = "sha256") -> str:
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    return hashlib.new(kind, der).hexdigest()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("device"), DEVICE)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[LocalHub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        hub.service().create_device_with_x509(DEVICE, thumbprint(certificate[0]), "A" * 40, "enabled")
        hub.do(lambda: hub.server.believe(certificate[0].read_text()))
        yield hub


def channel_of(hub: LocalHub, certificate: tuple[Path, Path], device: str = DEVICE) -> IotHubChannel:
    address = f"HostName={hub.server.mqtt_host};DeviceId={device}"
    ca_pem = hub.server.ca_path.read_text()
    return IotHubChannel(HubAddress(connection_string=address, certificate=certificate, ca_pem=ca_pem, timeout_s=10))


def test_a_device_with_a_certificate_connects_reads_its_twin_and_reports(
    hub: LocalHub, certificate: tuple[Path, Path]
) -> None:
    channel, lost = channel_of(hub, certificate), list[Event]()
    channel.open(lost.append)
    try:
        assert channel.get_twin()["desired"]["$version"] == 1
        channel.report({"state": "idle"})
        reported = hub.service().get_twin(DEVICE).properties.reported
        assert reported["update"] == {"state": "idle"}
    finally:
        channel.close()
    assert lost == []


def test_a_certificate_that_the_hub_does_not_know_opens_nothing(hub: LocalHub, tmp_path: Path) -> None:
    channel = channel_of(hub, make_certificate(tmp_path, DEVICE))
    with pytest.raises(ChannelDown):
        channel.open(lambda _: None)
    channel.close()


def test_a_certificate_is_for_the_device_that_it_was_registered_for(
    hub: LocalHub, certificate: tuple[Path, Path]
) -> None:
    hub.create("by-key")
    with pytest.raises(ChannelUnauthorized):
        channel_of(hub, certificate, "by-key").open(lambda _: None)
    key = hub.do(lambda: hub.server.hub.registry.get(DEVICE)).identity.primary_key
    text = f"HostName={hub.server.mqtt_host};DeviceId={DEVICE};SharedAccessKey={key}"
    with pytest.raises(ChannelUnauthorized):
        IotHubChannel(HubAddress(connection_string=text, ca_pem=hub.server.ca_path.read_text())).open(lambda _: None)


def test_a_new_thumbprint_ends_the_connection_of_the_old_one(hub: LocalHub, tmp_path: Path) -> None:
    old, new = (make_certificate(tmp_path, f"renewed-{which}") for which in ("old", "new"))
    registry, lost = hub.service(), list[Event]()
    registry.create_device_with_x509("renewed", thumbprint(old[0], "sha1"), "A" * 40, "enabled")
    for one in (old, new):
        hub.do(lambda one=one: hub.server.believe(one[0].read_text()))
    channel = channel_of(hub, old, "renewed")
    channel.open(lost.append)

    registry.update_device_with_x509("renewed", "*", thumbprint(new[0]), "A" * 40, "enabled")

    wait_until(lambda: lost, what="the end of the connection")
    with pytest.raises(ChannelUnauthorized):
        channel.open(lambda _: None)
    channel.close()
    renewed = channel_of(hub, new, "renewed")
    renewed.open(lambda _: None)
    renewed.close()


def test_thumbprints_are_shown_and_kept(hub: LocalHub, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    shown = hub.service().get_device(DEVICE).authentication
    assert shown.type == "selfSigned"
    assert shown.x509_thumbprint.primary_thumbprint == thumbprint(certificate[0]).upper()
    assert hub.service().get_twin(DEVICE).authentication_type == "selfSigned"

    again = HubServer(config=HubConfig(), state_dir=tmp_path)
    written = hub.do(lambda: {entry.key: json.dumps(entry.write()) for entry in hub.server.part.held()})
    again.part.restore({key: json.loads(text) for key, text in written.items()})
    kept = hub.do(lambda: hub.server.hub.registry.get(DEVICE)).identity
    assert again.hub.registry.get(DEVICE).identity == kept


@pytest.mark.parametrize("wrong", ["", "abc", "G" * 40])
def test_what_is_no_thumbprint_is_refused(hub: LocalHub, wrong: str) -> None:
    with pytest.raises(HttpOperationError) as refusal:
        hub.service().create_device_with_x509("nobody", wrong, wrong, "enabled")
    assert refusal.value.response.status_code == 400
