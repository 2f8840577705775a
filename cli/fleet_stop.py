"""``groundswell stop`` and ``groundswell release``: the emergency stop of the whole fleet."""

from __future__ import annotations

import argparse

from cli.keys.files import guarded
from cli.service_api import add_api_arguments, open_api
from shared.wire.http_stops import StopView


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``stop`` and ``release``."""
    stop = commands.add_parser("stop", help="stop the whole fleet: no offer and no download, for any campaign")
    stop.add_argument("--reason", required=True, help="people read it in the middle of the night")
    stop.set_defaults(run=guarded(_run_stop))
    release = commands.add_parser("release", help="let the stopped fleet go on")
    release.set_defaults(run=guarded(_run_release))
    for parser in (stop, release):
        add_api_arguments(parser)


def _run_stop(arguments: argparse.Namespace) -> int:
    stop = StopView.model_validate(open_api(arguments).do("POST", "stop", {"reason": arguments.reason}))
    print(f"the fleet is stopped since {stop.stopped_at} by {stop.stopped_by}: {stop.reason}")
    return 0


def _run_release(arguments: argparse.Namespace) -> int:
    stop = StopView.model_validate(open_api(arguments).do("DELETE", "stop"))
    print(f"the fleet goes on, released by {stop.released_by}" if stop.released_by else "nothing had stopped the fleet")
    return 0
