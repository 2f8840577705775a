"""A Device Provisioning Service for one machine: Microsoft's real provisioning client talks to it over MQTT."""

from emulator.provisioning.config import ProvisioningConfig
from emulator.provisioning.links import LinkedHub, RegistryLink
from emulator.provisioning.server import ProvisioningServer
from emulator.provisioning.store import ProvisioningStore

__all__ = ["LinkedHub", "ProvisioningConfig", "ProvisioningServer", "ProvisioningStore", "RegistryLink"]
