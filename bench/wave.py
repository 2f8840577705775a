"""One wave of many simulated devices on this machine, from the dropped artifact to the complete table.

``python -m bench.wave --devices 2000``. The local cloud, the service and the fleet share the machine. Every device
exchanges its ticket; the content is fetched once, because the loopback is not what is measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent.fleet import DeviceSetup, Environment, Fetching, FleetThread, SimulatedFleet
from cli.local import LocalStack, local_stack
from cli.publisher import describe_artifact
from demo.artifacts import FIRMWARE, FIRMWARE_VERSION, Artifact, build_firmware
from demo.devices import register
from demo.operator import Operator
from demo.truth import find_lies, find_miscounts
from shared.adapters.file_keys import load_key_file
from shared.domain.artifacts.naming import Description
from shared.domain.ids import DeviceId
from shared.trust.signature_files import write_signature_file

OLD_VERSION = "1.0.0"
PATIENCE_S = 1_800.0


def main() -> int:
    """Print how long each part took; 1 when a row does not say what its device runs."""
    parser = argparse.ArgumentParser(prog="bench.wave", description=__doc__)
    parser.add_argument("--devices", type=int, default=1_000)
    count = parser.parse_args().devices
    with tempfile.TemporaryDirectory() as folder, local_stack(Path(folder) / "state") as stack:
        os.environ["REQUESTS_CA_BUNDLE"] = stack.settings["REQUESTS_CA_BUNDLE"]
        devices = [f"bench-{number:06d}" for number in range(count)]
        register(stack.settings["IotHub"], devices)
        began = time.monotonic()
        with FleetThread(make_fleet(stack, devices)) as fleet:
            print(f"{count} devices connected in {time.monotonic() - began:.1f} s")
            return _measure(stack, fleet, count, Path(folder))


def make_fleet(stack: LocalStack, devices: list[str]) -> SimulatedFleet:
    """Devices that run the old version."""
    setups = [
        DeviceSetup(connection_string=stack.cloud.device_connection_string(device), installed={FIRMWARE: OLD_VERSION})
        for device in devices
    ]
    environment = Environment(
        service_url=stack.api,
        root_json=stack.root_json.read_bytes(),
        ca_file=Path(stack.settings["CA_FILE"]),
        fetching=Fetching.ONCE,
    )
    return SimulatedFleet(setups, environment, connect_timeout_s=PATIENCE_S)


def publish_firmware(stack: LocalStack, operator: Operator, folder: Path) -> None:
    """Drop a firmware image and wait until it is a published package."""
    image = build_firmware(folder, FIRMWARE_VERSION)
    named = Description(origin="bench", name=FIRMWARE, version=FIRMWARE_VERSION)
    signature = write_signature_file(describe_artifact(image, named), load_key_file(stack.publisher_key))
    operator.drop(Artifact(path=image, blob_name=image.name, signature=signature))
    wait_for(lambda: bool(operator.query("packages", "state eq 'published'")))


def _measure(stack: LocalStack, fleet: FleetThread, count: int, folder: Path) -> int:
    operator = Operator(stack)
    began = time.monotonic()
    publish_firmware(stack, operator, folder)
    published = time.monotonic()
    campaign_id = operator.start_campaign(
        {
            "name": "bench",
            "package": {"name": FIRMWARE, "version": FIRMWARE_VERSION},
            "targets": {"query": "SELECT deviceId FROM devices"},
        },
        key="bench",
    )
    wait_for(lambda: operator.campaign(campaign_id)["plan"]["phase"] == "done")
    planned = time.monotonic()
    wait_for(lambda: operator.campaign(campaign_id)["state"] != "running")
    ended = time.monotonic()
    campaign = operator.campaign(campaign_id)
    rows = operator.query(
        "rollout",
        "PartitionKey ge @low and PartitionKey lt @high and device ne ''",
        low=f"{campaign_id}~",
        high=f"{campaign_id}~~",
    )
    lies = find_lies(
        rows, lambda device: fleet.installed(DeviceId(device)), package=FIRMWARE, version=FIRMWARE_VERSION
    ) + find_miscounts(rows, campaign["waves"])
    print(f"artifact to published package  {published - began:6.1f} s")
    print(f"planning                       {planned - published:6.1f} s")
    print(f"dispatch to the last row       {ended - planned:6.1f} s")
    print(f"campaign {campaign['state']}; {len(rows)} rows, {len(lies)} of them untrue")
    return 0 if not lies and len(rows) == count and campaign["state"] == "completed" else 1


def wait_for(condition: Callable[[], bool]) -> None:
    """Look twice a second.

    Raises:
        TimeoutError: After half an hour.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE_S:g} s")
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
