"""The command line: ``python -m cli <command>``."""

from __future__ import annotations

import argparse
import sys

from cli import audit, campaign, devices, fleet_stop, hub, keys, local, publisher, replay, token


def make_parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    parser = argparse.ArgumentParser(prog="groundswell", description="Groundswell's command line.")
    commands = parser.add_subparsers(required=True, metavar="command")
    for module in (audit, campaign, devices, fleet_stop, hub, keys, local, publisher, replay, token):
        module.add_parser(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is its answer."""
    parsed = make_parser().parse_args(arguments)
    return int(parsed.run(parsed))


if __name__ == "__main__":
    sys.exit(main())
