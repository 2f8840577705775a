"""The hubs that devices are assigned to."""

from collections.abc import Mapping
from typing import Any, Protocol

from emulator.hub.devices import Identity
from emulator.hub.policies import new_key
from emulator.hub.server import HubServer
from emulator.hub.twins import Twin, read_service_patch
from emulator.provisioning.attestation import SymmetricKeys


class LinkedHub(Protocol):
    """A hub whose registry the service writes."""

    @property
    def host_name(self) -> str:
        """What devices connect to."""

    def knows(self, device_id: str) -> bool: ...

    def create(self, device_id: str, keys: SymmetricKeys | None, initial: Mapping[str, Any] | None) -> None:
        """Register a device. Raises HubError."""

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

    def create(self, device_id: str, keys: SymmetricKeys | None, initial: Mapping[str, Any] | None) -> None:
        primary, secondary = (keys.primary, keys.secondary) if keys else (new_key(), new_key())
        twin = read_service_patch(dict(initial)) if initial else None
        self._server.service.create_admitted(device_id, Identity(primary_key=primary, secondary_key=secondary), twin)

    def release(self, device_id: str) -> Twin | None:
        device = self._server.hub.registry.find(device_id)
        if device is None:
            return None
        self._server.service.delete_admitted(device_id)
        return device.twin

    def restore(self, device_id: str, twin: Twin) -> None:
        self._server.hub.registry.get(device_id).twin = twin
