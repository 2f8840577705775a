"""`python -m emulator.host --app DIR --settings FILE --control URL --port N --keys FILE`."""

import argparse
import asyncio
import json
import logging
import os
import sys
import traceback
from pathlib import Path

from emulator.host.app_index import AppIndexError
from emulator.host.app_settings import SettingMissingError
from emulator.host.functions_host import FunctionsHost, TriggerDiedError
from emulator.host.host_json import UnsupportedOptionError
from emulator.host.keys import load_or_make_keys
from emulator.host.logs import log_to_stdout
from emulator.shutdown import until_told_to_stop

log = logging.getLogger("host")
_CANNOT_INDEX = 2
_TRIGGER_DIED = 3


def main() -> int:
    """Run the host until it is told to stop; exit status 2 when the app cannot be indexed, 3 when a trigger died."""
    arguments = _parse()
    log_to_stdout()
    try:
        asyncio.run(_run(arguments))
    except (AppIndexError, SettingMissingError, UnsupportedOptionError) as error:
        log.error("the app cannot be indexed: %s", error)
        traceback.print_exception(error.__cause__ or error, file=sys.stdout)
        return _CANNOT_INDEX
    except TriggerDiedError:
        log.exception("host ends")
        return _TRIGGER_DIED
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    host = FunctionsHost(
        app_dir=arguments.app.resolve(),
        settings=dict(os.environ) | read_settings(arguments.settings),
        keys=load_or_make_keys(arguments.keys),
        control_url=arguments.control,
    )
    try:
        await host.start(port=arguments.port)
        await _serve(host, with_parent=arguments.with_parent)
    finally:
        await host.stop()


async def _serve(host: FunctionsHost, *, with_parent: bool) -> None:
    """Return when told to stop.

    Raises:
        TriggerDiedError: before that, a trigger died.
    """
    stop = asyncio.create_task(until_told_to_stop(with_parent=with_parent))
    watch = asyncio.create_task(host.watch())
    ended, others = await asyncio.wait({stop, watch}, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in ended:
        task.result()


def read_settings(path: Path) -> dict[str, str]:
    """App settings from a file: a flat JSON object, or one below `Values` as in local.settings.json."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {name: str(text) for name, text in content.get("Values", content).items()}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulator.host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="folder of function_app.py")
    parser.add_argument("--settings", type=Path, required=True, help="JSON file of app settings")
    parser.add_argument("--control", required=True, help="URL of the local cloud's control API")
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--keys", type=Path, default=Path(".local/keys.json"), help="made when missing")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes")
    return parser.parse_args()


if __name__ == "__main__":
    # Not sys.exit alone: a function's thread that never returns must not keep the process alive.
    status = main()
    sys.stdout.flush()
    os._exit(status)
