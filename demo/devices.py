"""The devices of the demo: some are processes of the real agent, the others are simulated and speak the same MQTT."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import ExportImportDevice

from agent.fleet import DeviceSetup, Environment, FleetThread, SimulatedFleet
from cli.local import LocalStack
from demo.factory import FACTORY_INSTALLED, HARDWARE, Factory, find_installed
from shared.domain.ids import DeviceId

BULK_LIMIT = 100
REAL_AGENTS = 5


def device_ids(count: int) -> list[str]:
    """Ids for the devices; the last ones have characters that IoT Hub allows and careless programs trip over."""
    plain = [f"thermostat-{number:03d}" for number in range(1, count + 1)]
    awkward = ["o'hare:hall(2)#7", "lab_3.bench@50%", "cellar*=$!,?"]
    return plain if count < REAL_AGENTS + len(awkward) else plain[: -len(awkward)] + awkward


def register(service_connection: str, devices: Sequence[str]) -> None:
    """Create the devices in IoT Hub, a hundred to a call (the limit of a bulk operation).

    Raises:
        RuntimeError: The hub refused one.
    """
    registry = IoTHubRegistryManager.from_connection_string(service_connection)
    for start in range(0, len(devices), BULK_LIMIT):
        chunk = devices[start : start + BULK_LIMIT]
        entries = [ExportImportDevice(id=device, import_mode="createOrUpdate", status="enabled") for device in chunk]
        result = registry.bulk_create_or_update_devices(entries)
        if not result.is_successful:
            raise RuntimeError(f"the hub refused devices: {result.errors}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All devices, connected."""

    agents: dict[str, Path]
    simulated: FleetThread
    simulated_ids: tuple[str, ...]

    def installed(self, device: str) -> dict[str, str]:
        """Package name to version: what the device really runs, asked of the device and nobody else."""
        if device in self.agents:
            return find_installed(self.agents[device])
        return self.simulated.installed(DeviceId(device))


@contextmanager
def running_fleet(stack: LocalStack, devices: Sequence[str], folder: Path) -> Iterator[Fleet]:
    """The devices, the first few as processes of the real agent; all are ended with the block."""
    real, simulated = devices[:REAL_AGENTS], devices[REAL_AGENTS:]
    factory = Factory(folder / "factory")
    with ExitStack() as running:
        slots = {device: running.enter_context(_agent(stack, device, folder / device, factory)) for device in real}
        thread = running.enter_context(FleetThread(_simulated(stack, simulated)))
        yield Fleet(agents=slots, simulated=thread, simulated_ids=tuple(simulated))


def _simulated(stack: LocalStack, devices: Sequence[str]) -> SimulatedFleet:
    environment = Environment(
        service_url=stack.api, root_json=stack.root_json.read_bytes(), ca_file=Path(stack.settings["CA_FILE"])
    )
    setups = [
        DeviceSetup(
            connection_string=stack.cloud.device_connection_string(device),
            properties={"hardware": HARDWARE},
            installed=FACTORY_INSTALLED,
        )
        for device in devices
    ]
    return SimulatedFleet(setups, environment)


@contextmanager
def _agent(stack: LocalStack, device: str, folder: Path, factory: Factory) -> Iterator[Path]:
    """One process of the real agent; gives the folder of its slots."""
    slots = folder / "slots"
    factory.fill(slots)
    config = folder / "agent.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps(_agent_config(stack, device, slots)))
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "--config", str(config)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield slots
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


def _agent_config(stack: LocalStack, device: str, slots: Path) -> dict[str, object]:
    return {
        "connection_string": stack.cloud.device_connection_string(device),
        "hub_ca_file": stack.settings["CA_FILE"],
        "service_url": stack.api,
        "root_file": str(stack.root_json),
        "state_dir": "state",
        "slots_dir": str(slots),
        "properties": {"hardware": HARDWARE},
        "installed": FACTORY_INSTALLED,
        "health": {"command": [sys.executable, "-m", "agent.selftest"], "timeout_s": 20},
    }
