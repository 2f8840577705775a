"""How much telemetry a campaign sends: ``python -m bench.telemetry --devices 200``.

The real exporter sends to an endpoint on loopback that keeps everything. Shown is the JSON before compression, by what
sends it: the sizes in ``shared.domain.telemetry_volume`` are from here. Azure's host, which sends as much again, is not
part of it. How many rows there are depends on how many reports come together; here all devices report at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agent.fleet import FleetThread
from bench.wave import FIRMWARE, FIRMWARE_VERSION, make_fleet, publish_firmware, wait_for
from cli.local import local_stack
from demo.devices import register
from demo.operator import Operator
from tests.support.ingestion import ingestion
from tests.support.scenario import functions_told

QUIET_S = 5.0
"""After which everything is on its way to the endpoint: the settings have it sent five times a second."""

WAVES = [{"percent": 1}, {"percent": 10}, {"rest": True}]


def main() -> int:
    """Print rows and bytes by kind and name, in all and for each device."""
    parser = argparse.ArgumentParser(prog="bench.telemetry", description=__doc__)
    parser.add_argument("--devices", type=int, default=200)
    count = parser.parse_args().devices
    with (
        tempfile.TemporaryDirectory() as folder,
        local_stack(Path(folder) / "state") as stack,
        ingestion() as (kept, settings),
        functions_told(stack, settings),
    ):
        os.environ["REQUESTS_CA_BUNDLE"] = stack.settings["REQUESTS_CA_BUNDLE"]
        devices = [f"bench-{number:06d}" for number in range(count)]
        register(stack.settings["IotHub"], devices)
        with FleetThread(make_fleet(stack, devices)):
            operator = Operator(stack)
            publish_firmware(stack, operator, Path(folder))
            time.sleep(QUIET_S)
            before = len(kept.envelopes())
            _run_campaign(operator)
            time.sleep(QUIET_S)
            report(kept.envelopes()[before:], count)
    return 0


def _run_campaign(operator: Operator) -> None:
    request = {
        "name": "bench",
        "package": {"name": FIRMWARE, "version": FIRMWARE_VERSION},
        "targets": {"query": "SELECT deviceId FROM devices"},
        "waves": WAVES,
    }
    campaign = operator.start_campaign(request, key="bench")
    wait_for(lambda: operator.campaign(campaign)["state"] == "completed")


def report(sent: Iterable[Mapping[str, Any]], devices: int) -> None:
    """One line for each kind of row, the largest sum first."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for item in sent:
        sizes[_kind(item)].append(size_bytes(item))
    for kind, found in sorted(sizes.items(), key=lambda pair: -sum(pair[1])):
        mean = sum(found) / len(found)
        print(f"{kind:50} {len(found):7} rows, {len(found) / devices:6.2f} a device, {mean:5.0f} bytes each")
    total = sum(map(sum, sizes.values()))
    print(f"{total} bytes, {total / devices:.0f} a device")


def size_bytes(item: Mapping[str, Any]) -> int:
    """Of one row as it is sent, before compression."""
    return len(json.dumps(item, separators=(",", ":")).encode())


def _kind(item: Mapping[str, Any]) -> str:
    data, kind = item["data"]["baseData"], item["data"]["baseType"]
    if kind == "RemoteDependencyData":
        return f"span {data['name']}"
    signal = (data.get("properties") or {}).get("groundswell.signal")
    return f"{kind} {signal or ' '.join(str(data.get('message', '')).split()[:4])}"


if __name__ == "__main__":
    sys.exit(main())
