"""``groundswell devices derive-key``: a device's key out of its enrolment group's, which stays where this runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cli.keys.files import guarded
from shared.domain.enrolment import derive_device_key


def add_parser(devices: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``devices derive-key``."""
    derive = devices.add_parser("derive-key", help="the key that a device of an enrolment group enrols with")
    derive.add_argument("registration_id", help="such as a serial number")
    derive.add_argument(
        "--group-key",
        type=Path,
        metavar="FILE",
        help="file with the group's key in base64; standard input unless it is given, as an argument would be seen",
    )
    derive.set_defaults(run=guarded(_run))


def _run(arguments: argparse.Namespace) -> int:
    text = sys.stdin.read() if arguments.group_key is None else arguments.group_key.read_text()
    print(derive_device_key(text.strip(), arguments.registration_id))
    return 0
