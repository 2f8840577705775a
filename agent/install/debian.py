"""Debian packages: dpkg installs them into the slot's root, for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agent.ports import Content, InstallFailed
from shared.domain.packages import PackageKind

# dpkg looks for its own tools there (dpkg(1), ENVIRONMENT), and a service manager's PATH may lack them.
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianHandler:
    """Runs ``dpkg --root``. Implements ``agent.ports.Handler``.

    Attributes:
        options: Further dpkg options, such as ``--force-script-chrootless``.
        timeout_s: How long dpkg may take.
        command: The dpkg to run.
    """

    kind = PackageKind.DEBIAN
    options: tuple[str, ...] = ()
    timeout_s: float = 600.0
    command: str = "dpkg"

    def is_ready(self) -> bool:
        """Whether there is a dpkg."""
        return shutil.which(self.command, path=f"{os.environ.get('PATH', '')}:{_PATH}") is not None

    def install(self, content: Content, slot: Path, installed: Mapping[str, str]) -> Mapping[str, str]:
        """Unpack and configure the package in ``<slot>/root``.

        Raises:
            InstallFailed: dpkg refused or ran out of time; with the tail of what it said.
        """
        root = slot / "root"
        _lay_out_database(root)
        self._run(root, content.file)
        return {**installed, content.name: content.version}

    def _run(self, root: Path, archive: Path) -> None:
        command = [
            self.command,
            f"--root={root}",
            # --root does not move the log: it would land in the log of the running system.
            f"--log={root / 'var/log/dpkg.log'}",
            "--force-not-root",
            "--force-downgrade",
            *self.options,
            "--install",
            str(archive),
        ]
        environment = {**os.environ, "PATH": _PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        # A file, because a daemon that a maintainer script leaves behind would hold a pipe open for ever.
        with tempfile.TemporaryFile() as output:
            status = self._wait(command, environment, output)
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if status != 0:
            raise InstallFailed(f"dpkg ended with {status}: {said[-450:]}")

    def _wait(self, command: list[str], environment: dict[str, str], output: IO[bytes]) -> int:
        child = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            return child.wait(self.timeout_s)
        except subprocess.TimeoutExpired as error:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise InstallFailed(f"dpkg did not end within {self.timeout_s:g} s") from error


def _lay_out_database(root: Path) -> None:
    """What dpkg wants to find below a root that never saw it."""
    database = root / "var/lib/dpkg"
    for folder in (database / "info", database / "updates", database / "triggers", root / "var/log"):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("status", "available"):
        (database / name).touch()
