"""A process of the real agent, below a folder of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class AgentProcess:
    """Started, ended and started again with one configuration; what it logs is kept over its lives.

    Args:
        folder: For ``agent.json``, ``log``, and what the configuration names relative to it.
        config: The agent's configuration.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self._config = folder / "agent.json"
        self._config.write_text(json.dumps(config))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(20)

    def status(self) -> dict[str, Any]:
        """What the device says of itself."""
        told = subprocess.run(self._command("status"), check=True, capture_output=True)
        status: dict[str, Any] = json.loads(told.stdout)
        return status

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _command(self, *action: str) -> list[str]:
        return [sys.executable, "-m", "agent", *action, "--config", str(self._config)]
