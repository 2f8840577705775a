"""Child processes that end when told to, and never outlive the process that started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_POLL_S = 0.02
_TAIL_LINES = 40


class ChildFailedError(RuntimeError):
    """A child process ended or did not become ready; the message ends with its last log lines."""


class Child:
    """A Python module of ours as a process.

    The child runs in a session of its own, so that Ctrl-C reaches only the parent, and watches its
    standard input, which closes however the parent dies.

    Args:
        module: what `python -m` runs.
        arguments: its command line; `--with-parent` is added.
        log_path: file that its output is appended to.
        keeps: file descriptors that it inherits.
    """

    def __init__(self, module: str, arguments: Sequence[str], *, log_path: Path, keeps: Sequence[int] = ()) -> None:
        self.module = module
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        self._start_of_log = log_path.stat().st_size if log_path.exists() else 0
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, "--with-parent"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
                pass_fds=tuple(keeps),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def log_tail(self) -> str:
        """The last lines this process logged."""
        with self.log_path.open("rb") as log:
            log.seek(self._start_of_log)
            lines = log.read().decode("utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Poll `is_ready` until it is true.

        Raises:
            ChildFailedError: the process ended, or is not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if not self.is_running or time.monotonic() > deadline:
                state = "is not ready" if self.is_running else f"ended with status {self._process.returncode}"
                raise ChildFailedError(f"{self.module} {state}; its log ends:\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def stop(self, *, timeout_s: float) -> None:
        """Ask it to end (SIGTERM), and kill it if it has not done so in time."""
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close_lifeline()

    def kill(self) -> None:
        """End it at once (SIGKILL), in the middle of whatever it does."""
        self._process.kill()
        self._process.wait()
        self._close_lifeline()

    def _close_lifeline(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
