"""``python -m agent.fleet --config FILE``: a fleet until SIGTERM or SIGINT, then what each device runs, as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from agent.fleet.behaviour import parse_behaviour
from agent.fleet.fleet import DeviceSetup, Environment, SimulatedFleet
from agent.fleet.sources import Fetching

EXIT_CONFIG = 78


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FleetDevice(_Part):
    """One device, or several that differ in their connection strings only."""

    connection_strings: tuple[SecretStr, ...] = Field(min_length=1)
    gateway_host: str | None = None
    properties: dict[str, str] = {}
    installed: dict[str, str] = {}
    behaviour: str = "ok"

    def setups(self) -> list[DeviceSetup]:
        """The devices."""
        return [
            DeviceSetup(
                connection_string=secret.get_secret_value(),
                gateway_host=self.gateway_host,
                properties=self.properties,
                behaviour=parse_behaviour(self.behaviour),
                installed=self.installed,
            )
            for secret in self.connection_strings
        ]


class FleetConfig(_Part):
    """A fleet. Paths are relative to the working directory."""

    service_url: str
    root_file: Path
    ca_file: Path | None = None
    fetching: Fetching = Fetching.EVERY_DEVICE
    devices: tuple[FleetDevice, ...]


async def live(config: FleetConfig) -> dict[str, dict[str, str]]:
    """Run the fleet until a signal; device id to what it runs."""
    environment = Environment(
        service_url=config.service_url,
        root_json=config.root_file.read_bytes(),
        ca_file=config.ca_file,
        fetching=config.fetching,
    )
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    setups = [setup for device in config.devices for setup in device.setups()]
    async with SimulatedFleet(setups, environment) as fleet:
        logging.getLogger(__name__).info("%d devices connected", len(fleet.states))
        await ended.wait()
        return {str(device): fleet.installed(device) for device in fleet.states}


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 after a signal, 78 for a configuration that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m agent.fleet", description="Simulates many devices.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="JSON, see docs/agent.md")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        config = FleetConfig.model_validate_json(options.config.read_bytes())
        told = asyncio.run(live(config))
    except ValidationError as error:
        complaints = error.errors(include_input=False, include_url=False)
        lines = (f"{options.config}: {'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in complaints)
        sys.stderr.write("\n".join(lines) + "\n")
        return EXIT_CONFIG
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{options.config}: {error}\n")
        return EXIT_CONFIG
    sys.stdout.write(json.dumps(told, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
