"""A device to play with: registered in the local hub, with a configuration for the agent."""

from __future__ import annotations

import json
import os
from pathlib import Path

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import ExportImportDevice

DEVICE_ID = "my-device"


def register(settings: dict[str, str], device_id: str = DEVICE_ID) -> None:
    """Create the device where it is not there yet.

    Raises:
        RuntimeError: The hub refused it.
    """
    # The IoT Hub SDK takes the authority behind the local hub's certificate from the environment only.
    os.environ["REQUESTS_CA_BUNDLE"] = settings["REQUESTS_CA_BUNDLE"]
    registry = IoTHubRegistryManager.from_connection_string(settings["IotHub"])
    device = ExportImportDevice(id=device_id, import_mode="createOrUpdate", status="enabled")
    result = registry.bulk_create_or_update_devices([device])
    if not result.is_successful:
        raise RuntimeError(f"the hub refused {device_id}: {result.errors}")


def write_agent_config(
    folder: Path, *, connection_string: str, settings: dict[str, str], api: str, root_json: Path
) -> Path:
    """The agent's configuration file in the folder, readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "agent.json"
    path.touch(mode=0o600)
    document = {
        "connection_string": connection_string,
        "hub_ca_file": settings["CA_FILE"],
        "service_url": api,
        "root_file": str(root_json.resolve()),
        "state_dir": "state",
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
