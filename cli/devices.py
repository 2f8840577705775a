"""``groundswell devices``: ``restore`` after the table ``devices`` was lost, ``derive-key`` for devices to be made."""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime

from azure.data.tables import TableServiceClient
from azure.identity import DefaultAzureCredential
from azure.iot.hub import IoTHubRegistryManager

from cli import device_keys
from cli.keys.files import guarded
from shared.adapters.azure_devices import AzureDevices
from shared.adapters.azure_twin_list import AzureTwinList
from shared.handlers.restore_devices import restore_devices


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``devices restore`` and ``devices derive-key``."""
    devices = commands.add_parser("devices", help="what the service knows of devices, and keys for new ones")
    actions = devices.add_subparsers(required=True)
    device_keys.add_parser(actions)
    restore = actions.add_parser("restore", help="raise the table to what the twins say; stop the fleet first")
    storage, hub = (os.environ.get(name, "") for name in ("Storage", "IotHub"))
    restore.add_argument("--storage", default=storage, help="connection string, or https://<account>.blob.…; $Storage")
    restore.add_argument("--hub", default=hub, help="connection string, or <hub>.azure-devices.net; $IotHub")
    restore.set_defaults(run=guarded(_run))


def _run(arguments: argparse.Namespace) -> int:
    with _tables(arguments.storage) as tables:
        done = restore_devices(
            AzureTwinList(_registry(arguments.hub)),
            AzureDevices(tables.create_table_if_not_exists("devices")),
            now=datetime.now(UTC),
            pause=time.sleep,
        )
    print(f"{done.twins} twins looked at, {done.rows} rows raised or made")
    return 0


def _tables(storage: str) -> TableServiceClient:
    if storage.startswith("https://"):
        return TableServiceClient(storage.replace(".blob.", ".table.", 1), credential=DefaultAzureCredential())
    return TableServiceClient.from_connection_string(storage)


def _registry(hub: str) -> IoTHubRegistryManager:
    if "SharedAccessKey=" in hub:
        return IoTHubRegistryManager.from_connection_string(hub)
    return IoTHubRegistryManager.from_token_credential(hub, DefaultAzureCredential())
