"""What every way of running the service on this machine has in common."""

from __future__ import annotations

import json
import secrets
import signal
import threading
from pathlib import Path

PROJECT = Path(__file__).parents[1]
INDEX_BINS = 16


def machine_settings(state_dir: Path, root_json: Path, config: Path) -> dict[str, str]:
    """What an app on this machine is told beside how to reach its services.

    Args:
        state_dir: Where the ticket keys are kept.
        config: What the local cloud has; its hub's size is the app's.
    """
    return {
        **_hub_size(config),
        "ROOT_FILE": str(root_json.resolve()),
        "TICKET_KEYS": _ticket_keys(state_dir / "ticket-keys.json"),
        "TWIN_CHANGES_HUB": "twin-changes",
        "PYTHON_THREADPOOL_THREAD_COUNT": "16",
    }


def _hub_size(config: Path) -> dict[str, str]:
    hub = json.loads(config.read_text())["iotHub"]
    return {"HUB_TIER": hub["tier"], "HUB_UNITS": str(hub["units"])}


def _ticket_keys(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(json.dumps({"current": "local-1", "keys": {"local-1": secrets.token_hex(32)}}))
    return path.read_text()


def wait_for_signal() -> None:
    """Until somebody ends this process."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
