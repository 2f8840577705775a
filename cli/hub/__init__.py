"""``groundswell hub``: what a real IoT Hub does that documents leave open."""

from __future__ import annotations

import argparse

from cli.hub import check


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``hub`` and its subcommands."""
    hub = commands.add_parser("hub", help="find out what an IoT Hub does that documents leave open")
    check.add_actions(hub.add_subparsers(required=True, metavar="action"))
