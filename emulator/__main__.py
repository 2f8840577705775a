"""`python -m emulator`: keep a local cloud up, with or without an app, until Ctrl-C."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from emulator.child import ChildFailedError
from emulator.host.__main__ import read_settings
from emulator.local import LocalCloud
from emulator.state_lock import CloudRunsError


def main() -> int:
    """Start, print the settings as `NAME=value` lines, wait. Exit status 1 when something does not start."""
    arguments = _parse()
    # A shell's background job starts with SIGINT ignored; whoever sends it here means it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        with LocalCloud(config=arguments.config, state_dir=arguments.state) as cloud:
            if arguments.app is not None:
                settings = read_settings(arguments.settings) if arguments.settings else {}
                cloud.start_functions(arguments.app, settings)
            _show(cloud)
            signal.pause()
    except (ChildFailedError, CloudRunsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show(cloud: LocalCloud) -> None:
    lines = [f"{name}={text}" for name, text in cloud.settings.items()]
    lines.append(f"FUNCTIONS_KEY={cloud.host_key}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("infra/local/cloud.json"))
    parser.add_argument("--state", type=Path, default=Path(".local/cloud"), help="data, keys, logs")
    parser.add_argument("--app", type=Path, help="folder of function_app.py to run")
    parser.add_argument("--settings", type=Path, help="app settings, like local.settings.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
