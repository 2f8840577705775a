"""The devices of the demo: some are processes of the real agent, the others are simulated and speak the same MQTT."""

from __future__ import annotations

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import ExportImportDevice

BULK_LIMIT = 100


def register(service_connection: str, device_ids: list[str]) -> None:
    """Create the devices in IoT Hub, a hundred to a call (the limit of a bulk operation).

    Raises:
        RuntimeError: The hub refused one.
    """
    registry = IoTHubRegistryManager.from_connection_string(service_connection)
    for start in range(0, len(device_ids), BULK_LIMIT):
        chunk = device_ids[start : start + BULK_LIMIT]
        devices = [ExportImportDevice(id=device, import_mode="createOrUpdate", status="enabled") for device in chunk]
        result = registry.bulk_create_or_update_devices(devices)
        if not result.is_successful:
            raise RuntimeError(f"the hub refused devices: {result.errors}")
