"""A provisioning service for tests, in the loop of the hub it assigns devices to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azure.iot.device import X509, ProvisioningDeviceClient

from emulator.hub import HubServer
from emulator.pki import open_authority
from emulator.provisioning import ProvisioningConfig, ProvisioningServer, RegistryLink
from emulator.provisioning.enrolments import read_enrolment
from emulator.provisioning.registrations import Registration
from shared.domain.enrolment import derive_device_key
from tests.support.hub import LocalHub

SCOPE = "0ne000TEST"
GROUP_KEY = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
"""The one of Microsoft's documents."""


class LocalProvisioning:
    """A running provisioning service and its real SDK clients."""

    def __init__(self, hub: LocalHub, server: ProvisioningServer, ca_file: Path) -> None:
        self.hub = hub
        self.server = server
        self.ca_file = ca_file

    def enrol_group(self, name: str = "fleet", **fields: Any) -> None:
        """A group with the documents' key, unless the fields say otherwise."""
        keys = {"primaryKey": GROUP_KEY, "secondaryKey": GROUP_KEY}
        fields.setdefault("attestation", {"type": "symmetricKey", "symmetricKey": keys})
        self.hub.do(lambda: self.server.put(read_enrolment(name, fields, of_group=True)))

    def enrol(self, registration: str, key: str, **fields: Any) -> None:
        """A single device with a symmetric key, unless the fields say otherwise."""
        keys = {"primaryKey": key, "secondaryKey": key}
        fields.setdefault("attestation", {"type": "symmetricKey", "symmetricKey": keys})
        self.hub.do(lambda: self.server.put(read_enrolment(registration, fields, of_group=False)))

    def forget_enrolments(self) -> None:
        def forget() -> None:
            self.server.store.groups.clear()
            self.server.store.individuals.clear()

        self.hub.do(forget)

    def fail(self, **fields: Any) -> None:
        """What the next requests are answered with, as the control API takes it."""
        self.hub.do(lambda: self.server.faults.set(fields))

    def registration(self, registration: str) -> Registration | None:
        return self.hub.do(lambda: self.server.store.registrations.get(registration))

    def client(self, registration: str, key: str | None = None, **options: Any) -> ProvisioningDeviceClient:
        """The real client with a symmetric key, by default the one of the group."""
        key = key or derive_device_key(GROUP_KEY, registration)
        return ProvisioningDeviceClient.create_from_symmetric_key(
            self.server.host, registration, SCOPE, key, **self._trust() | options
        )

    def client_with(self, registration: str, certificate: tuple[Path, Path]) -> ProvisioningDeviceClient:
        """The real client with a certificate."""
        shown = X509(str(certificate[0]), str(certificate[1]))
        return ProvisioningDeviceClient.create_from_x509_certificate(
            self.server.host, registration, SCOPE, shown, **self._trust()
        )

    def _trust(self) -> dict[str, str]:
        return {"server_verification_cert": self.ca_file.read_text()}


@contextmanager
def local_provisioning(
    hub: LocalHub, folder: Path, *, servers: Sequence[HubServer] = (), **config: Any
) -> Iterator[LocalProvisioning]:
    """A service in the hub's loop, linked to it and to other servers of that loop."""
    authority = open_authority(folder)
    links = [RegistryLink(server) for server in (hub.server, *servers)]
    settings = ProvisioningConfig(id_scope=SCOPE, **config)
    server = hub.do(lambda: ProvisioningServer(settings, links, authority))
    hub.call(server.start())
    try:
        yield LocalProvisioning(hub, server, authority.ca.certificate)
    finally:
        hub.call(server.stop())
