"""The agent signs in with an X.509 certificate: the real device SDK, TLS that asks for it, and the hub behind it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.adapters.iot_hub import HubAddress, IotHubChannel
from agent.ports import ChannelDown, Event
from emulator.hub.device_api import DeviceApi
from emulator.hub.devices import Device
from emulator.hub.mqtt.connection import MqttConnection
from emulator.hub.mqtt.listener import MqttListener
from emulator.hub.sas import SasToken
from emulator.pki import open_authority
from tests.support.certificates import make_certificate
from tests.support.hub import LocalHub, local_hub

DEVICE = "by-certificate"
FOR_EVER_S = 4_000_000_000


class ByCertificate(DeviceApi):
    """The hub for devices that TLS has let in already: they show no password."""

    def authenticate(self, device_id: str, host_name: str, password: str) -> tuple[Device, SasToken]:
        device = self.hub.registry.find(device_id)
        assert device is not None
        assert (password, host_name) == ("", "localhost")
        return device, SasToken(signed_resource="", resource="", signature=b"", expires_s=FOR_EVER_S, policy="")


@dataclass(frozen=True)
class Door:
    """A hub that lets in whoever shows the certificate."""

    hub: LocalHub
    address: str
    ca_pem: str


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("device"), DEVICE)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[Door]:
    authority = open_authority(tmp_path_factory.mktemp("pki"))

    def context_for(address: str) -> ssl.SSLContext:
        context = authority.server_context([address])
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate[0])
        return context

    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        hub.create(DEVICE)
        devices = ByCertificate(hub.server.hub)
        listener = hub.do(lambda: MqttListener(lambda: MqttConnection(devices), context_for))
        address, port = hub.call(listener.start("127.0.0.1", 8883))
        assert port == 8883
        try:
            yield Door(hub=hub, address=address, ca_pem=authority.ca.certificate.read_text())
        finally:
            hub.call(listener.stop())


def channel_of(door: Door, certificate: tuple[Path, Path]) -> IotHubChannel:
    address = f"HostName=localhost;DeviceId={DEVICE};GatewayHostName={door.address}"
    return IotHubChannel(
        HubAddress(connection_string=address, certificate=certificate, ca_pem=door.ca_pem, timeout_s=10)
    )


def test_a_device_with_a_certificate_connects_reads_its_twin_and_reports(
    door: Door, certificate: tuple[Path, Path]
) -> None:
    channel, lost = channel_of(door, certificate), list[Event]()
    channel.open(lost.append)
    try:
        assert channel.get_twin()["desired"]["$version"] == 1
        channel.report({"state": "idle"})
        reported = door.hub.service().get_twin(DEVICE).properties.reported
        assert reported["update"] == {"state": "idle"}
    finally:
        channel.close()
    assert lost == []


def test_a_certificate_that_the_hub_does_not_know_opens_nothing(door: Door, tmp_path: Path) -> None:
    channel = channel_of(door, make_certificate(tmp_path, DEVICE))
    with pytest.raises(ChannelDown):
        channel.open(lambda _: None)
    channel.close()
