"""The local certificate authority and the hub's addresses."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
from pathlib import Path

import pytest

from emulator.hub import HubConfig, HubServer
from emulator.pki import open_authority


def test_authority_and_certificate_are_made_once(tmp_path: Path) -> None:
    first = open_authority(tmp_path).server_certificate({"127.0.0.1"}).certificate.read_bytes()
    authority = open_authority(tmp_path)
    assert authority.server_certificate({"127.0.0.1"}).certificate.read_bytes() == first
    assert authority.server_certificate({"127.7.7.7"}).certificate.read_bytes() != first
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


async def _handshake(hub: HubServer, address: str) -> str:
    context = ssl.create_default_context(cafile=str(hub.ca_path))
    _, writer = await asyncio.open_connection(address, hub.mqtt_port, ssl=context)
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    return str(version)


def test_hub_moves_to_another_loopback_address_when_its_port_is_taken(tmp_path: Path) -> None:
    async def scene(port: int) -> None:
        hub = HubServer(config=HubConfig(), state_dir=tmp_path, mqtt_port=port)
        await hub.start()
        try:
            assert hub.mqtt_host != "127.0.0.1"
            assert hub.mqtt_host.startswith("127.")
            assert hub.mqtt_port == port
            # The strictest client accepts the certificate for the new address.
            assert (await _handshake(hub, hub.mqtt_host)).startswith("TLS")
        finally:
            await hub.stop()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(scene(taken.getsockname()[1]))


def test_keys_of_the_policies_outlive_a_restart(tmp_path: Path) -> None:
    async def connection_string() -> str:
        hub = HubServer(config=HubConfig(), state_dir=tmp_path, mqtt_port=0)
        await hub.start()
        await hub.stop()
        return hub.service_connection_string.partition("SharedAccessKey=")[2]

    assert asyncio.run(connection_string()) == asyncio.run(connection_string())


def test_certificate_of_another_authority_is_not_trusted(tmp_path: Path) -> None:
    async def scene() -> None:
        hub = HubServer(config=HubConfig(), state_dir=tmp_path / "one", mqtt_port=0)
        await hub.start()
        stranger = ssl.create_default_context(cafile=str(open_authority(tmp_path / "two").ca.certificate))
        try:
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(hub.mqtt_host, hub.mqtt_port, ssl=stranger)
        finally:
            await hub.stop()

    asyncio.run(scene())
