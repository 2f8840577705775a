"""The whole system for scenario tests: one local cloud for all of them, with waits that tests can afford."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from cli.local import CONFIG, LocalStack, local_stack
from cli.local_app import PROJECT
from tests.support.waiting import wait_until

LOCK = "PT5S"
"""The shortest lock Service Bus allows: what a killed host held comes back after it."""

BLOB_VISIBILITY_S = 2


@contextmanager
def scenario_stack(folder: Path) -> Iterator[LocalStack]:
    """The local cloud with the service in it; what a killed host held comes back soon, and rows are soon quiet."""
    config = _write_quick_config(folder / "config")
    # The hub's throttles are those of an S1, but off: a test that switches them on tells the service of it.
    settings = {"RECONCILE_QUIET_S": "1", "HUB_TIER": "S3"}
    with local_stack(folder / "state", config=config, app_settings=settings) as stack:
        yield stack


@contextmanager
def functions_told(stack: LocalStack, settings: Mapping[str, str]) -> Iterator[None]:
    """The functions host restarted with these settings on top of the usual ones, and with the usual ones afterwards."""
    stack.cloud.stop_functions()
    stack.cloud.start_functions(PROJECT, stack.settings | dict(settings))
    try:
        yield
    finally:
        stack.cloud.stop_functions()
        stack.cloud.start_functions(PROJECT, stack.settings)


def kill_and_restart(stack: LocalStack) -> None:
    """End the functions host with SIGKILL, whatever it is doing, and start it again."""
    stack.cloud.kill_functions()
    stack.cloud.restart_functions()


def run_timer(stack: LocalStack, function: str) -> None:
    """Run a timer's function now and wait until it has ended, as it is written in the host's log."""
    done = f"[{function} "
    before = _endings(stack, done)
    answer = requests.post(
        f"{stack.cloud.functions_url}/admin/functions/{function}",
        headers={"x-functions-key": stack.cloud.master_key},
        timeout=10,
    )
    answer.raise_for_status()
    wait_until(lambda: _endings(stack, done) > before, timeout_s=30, what=f"the end of {function}")


def functions_log(stack: LocalStack) -> str:
    """What the functions host has logged so far."""
    return (stack.cloud.logs_dir / "functions.log").read_text(errors="replace")


def _endings(stack: LocalStack, done: str) -> int:
    lines = functions_log(stack).splitlines()
    return sum(done in line and ("] succeeded" in line or "] failed" in line) for line in lines)


def _write_quick_config(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cloud = _read(CONFIG)
    cloud["storage"]["blobTriggerVisibilitySeconds"] = BLOB_VISIBILITY_S
    cloud["iotHub"]["tier"] = "S1"
    bus = _read(CONFIG.parent / cloud["serviceBus"])
    for namespace in bus["UserConfig"]["Namespaces"]:
        for queue in namespace["Queues"]:
            queue["Properties"]["LockDuration"] = LOCK
    (folder / cloud["serviceBus"]).write_text(json.dumps(bus))
    path = folder / CONFIG.name
    path.write_text(json.dumps(cloud))
    return path


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document
