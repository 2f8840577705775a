"""The health check as a command."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agent.ports import Health

TAIL_BYTES = 450
"""Of the command's output in a report; with the words before it under the report's 512 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCommand:
    """Healthy is a command that ends with 0 in time. Implements ``agent.ports.HealthCheck``.

    The command finds ``GROUNDSWELL_SLOT`` (the folder of the slot the device runs from), ``GROUNDSWELL_PACKAGE`` and
    ``GROUNDSWELL_VERSION`` in its environment. Without a command, a device that got as far as starting is healthy.
    """

    command: tuple[str, ...]
    timeout_s: float = 60.0

    def examine(self, slot: Path, *, name: str, version: str) -> Health:
        """Run the command to its end or to its time limit."""
        if not self.command:
            return Health(is_healthy=True, detail="")
        place = {"GROUNDSWELL_SLOT": str(slot), "GROUNDSWELL_PACKAGE": name, "GROUNDSWELL_VERSION": version}
        # A file, because a command that talks without end would fill memory or block on a pipe.
        with tempfile.TemporaryFile() as output:
            try:
                verdict = self._run({**os.environ, **place}, output)
            except OSError as error:
                return Health(is_healthy=False, detail=f"the health command could not be started: {error}")
            tail = _tail(output)
        return Health(is_healthy=not verdict, detail=f"{verdict}: {tail}" if verdict else tail)

    def _run(self, environment: dict[str, str], output: IO[bytes]) -> str:
        """How it failed; empty if it did not."""
        with subprocess.Popen(
            self.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as child:
            try:
                status = child.wait(self.timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                return f"no verdict within {self.timeout_s:g} s"
        return f"ended with {status}" if status else ""


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - TAIL_BYTES))
    return output.read().decode(errors="replace").strip()
