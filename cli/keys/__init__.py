"""``groundswell keys``: what the holders of the index's keys do, offline with files, and what publishes it."""

from __future__ import annotations

import argparse

from cli.keys import expiry, init, propose, publish, sign
from cli.keys.init import PUBLISHER_KEY, init_repository

__all__ = ["PUBLISHER_KEY", "add_parser", "init_repository"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``keys`` and its subcommands."""
    keys = commands.add_parser("keys", help="make, sign and publish what the index is trusted by")
    actions = keys.add_subparsers(required=True, metavar="action")
    for module in (init, sign, propose, publish, expiry):
        module.add_actions(actions)
