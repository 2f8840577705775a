"""The hubs that devices are assigned to."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from emulator.hub.devices import Identity
from emulator.hub.policies import new_key
from emulator.hub.server import HubServer
from emulator.hub.twins import Twin, read_service_patch
from emulator.provisioning.attestation import Certificates, Credential, SymmetricKeys


class LinkedHub(Protocol):
    """A hub whose registry the service writes."""

    @property
    def host_name(self) -> str:
        """What devices connect to."""

    def knows(self, device_id: str) -> bool: ...

    def create(self, device_id: str, credential: Credential, initial: Mapping[str, Any] | None) -> None:
        """Register a device. Raises HubError."""

    def renew(self, device_id: str, credential: Credential) -> None:
        """Have a device sign in with what it enrols with now; a disabled one stays so. Raises HubError."""

    def believe(self, certificates: Certificates) -> None:
        """Know certificates of devices, or who signs them."""

    def release(self, device_id: str) -> Twin | None:
        """Delete a device; its twin, or None where there was no such device."""

    def restore(self, device_id: str, twin: Twin) -> None:
        """Give a device the twin it had elsewhere."""


class RegistryLink:
    """Implements :class:`LinkedHub` for a hub of this process."""

    def __init__(self, server: HubServer) -> None:
        self._server = server

    @property
    def host_name(self) -> str:
        return self._server.mqtt_host

    def knows(self, device_id: str) -> bool:
        return self._server.hub.registry.find(device_id) is not None

    def create(self, device_id: str, credential: Credential, initial: Mapping[str, Any] | None) -> None:
        twin = read_service_patch(dict(initial)) if initial else None
        self._server.service.create_admitted(device_id, _identity(credential), twin)

    def renew(self, device_id: str, credential: Credential) -> None:
        before, after = self._server.hub.registry.get(device_id).identity, _identity(credential)
        if after.credentials != before.credentials:
            kept = replace(after, status=before.status, status_reason=before.status_reason)
            self._server.service.update_admitted(device_id, kept)

    def believe(self, certificates: Certificates) -> None:
        for pem in certificates.pem:
            self._server.believe(pem)

    def release(self, device_id: str) -> Twin | None:
        device = self._server.hub.registry.find(device_id)
        if device is None:
            return None
        self._server.service.delete_admitted(device_id)
        return device.twin

    def restore(self, device_id: str, twin: Twin) -> None:
        self._server.hub.registry.get(device_id).twin = twin


def _identity(credential: Credential) -> Identity:
    if isinstance(credential, SymmetricKeys):
        return Identity(primary_key=credential.primary, secondary_key=credential.secondary)
    return Identity(primary_key=new_key(), secondary_key=new_key(), thumbprints=(credential.thumbprint,))
