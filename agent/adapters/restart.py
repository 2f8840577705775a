"""Restarting: the process runs itself anew, or a command restarts the device."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRestarter:
    """The process replaces itself; every process image is a boot. Implements ``agent.ports.Restarter``."""

    command: tuple[str, ...] = field(default_factory=lambda: (sys.executable, *sys.orig_argv[1:]))
    boot_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def restart(self) -> NoReturn:
        """Run the same command line in this process."""
        os.execv(self.command[0], self.command)  # noqa: S606 - no shell is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRestarter:
    """A command such as ``systemctl reboot``. Implements ``agent.ports.Restarter``.

    Attributes:
        boot_id_file: Holds another text after every restart of the device.
        grace_s: How long to wait to be ended once the command has succeeded.
    """

    command: tuple[str, ...]
    boot_id_file: Path = KERNEL_BOOT_ID
    grace_s: float = 300.0

    @property
    def boot_id(self) -> str:
        """The present boot, as the kernel names it."""
        return self.boot_id_file.read_text().strip()

    def restart(self) -> NoReturn:
        """Run the command and wait to be ended by it.

        Raises:
            SystemExit: The device did not restart; whoever keeps this process running starts it again, and it asks
                again.
        """
        done = subprocess.run(self.command, check=False, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            time.sleep(self.grace_s)
        sys.exit(75)  # EX_TEMPFAIL of sysexits.h
