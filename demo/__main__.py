"""``make demo``: what an operator does with Groundswell, on the local cloud, with real and simulated devices."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from cli.local import local_stack
from cli.local_app import PROJECT
from demo.artifacts import build_artifacts
from demo.devices import REAL_AGENTS, device_ids, register, running_fleet
from demo.operator import Operator
from demo.screen import Screen
from demo.story import Story
from shared.adapters.file_keys import load_key_file


def main() -> int:
    """Tell the story; 0 when every row of every table came true."""
    arguments = _arguments()
    began = time.monotonic()
    # A folder of its own, so that two demos in one checkout do not meet.
    state = PROJECT / f".local/demo-{os.getpid()}"
    screen = Screen(pictures=arguments.pictures)
    screen.say("Starting the local cloud: storage, Service Bus, IoT Hub, Event Grid, functions host …")
    with local_stack(state) as stack:
        # The IoT Hub SDK takes the authority behind the local hub's certificate from the environment only.
        os.environ["REQUESTS_CA_BUNDLE"] = stack.settings["REQUESTS_CA_BUNDLE"]
        operator = Operator(stack)
        devices = device_ids(arguments.devices)
        register(stack.settings["IotHub"], devices)
        screen.say(f"{len(devices)} devices are registered; {REAL_AGENTS} of them are processes of the real agent.")
        with running_fleet(stack, devices, state / "devices") as fleet:
            story = Story(operator=operator, fleet=fleet, screen=screen, devices=devices)
            story.drop_artifacts(build_artifacts(state / "artifacts", load_key_file(stack.publisher_key)))
            story.roll_out_firmware()
            story.roll_out_broken_application()
            screen.save_picture()
    screen.say(f"\nEverything is ended again; it took {time.monotonic() - began:.0f} s.")
    if story.untruths:
        screen.say(f"Not all came true; state and logs are in {state.relative_to(PROJECT)}.")
        return 1
    shutil.rmtree(state)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--devices", type=int, default=60, help=f"how many devices, at least {REAL_AGENTS + 1}")
    parser.add_argument("--pictures", type=Path, help="folder for an SVG picture of each act")
    arguments = parser.parse_args()
    if arguments.devices <= REAL_AGENTS:
        parser.error(f"--devices: at least {REAL_AGENTS + 1}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
