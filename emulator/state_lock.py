"""One cloud at a time over one state folder: two would write over each other's storage."""

import fcntl
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

_FILE = "running.json"
_POLL_S = 0.1
_ENDING_S = 20.0


class CloudRunsError(RuntimeError):
    """A cloud runs over this state folder already; the message says where, and how to end it."""


class StateLock:
    """Held by a cloud as long as it, or its storage, lives.

    The lock belongs to an open file that child processes inherit: it is free only once all of them are gone, however
    they ended.

    Args:
        state_dir: the folder that only one cloud may use.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / _FILE
        self._file: IO[str] | None = None

    @property
    def descriptor(self) -> int:
        """For child processes to inherit, once acquired."""
        if self._file is None:
            raise RuntimeError("the lock is not held")
        return self._file.fileno()

    def acquire(self) -> None:
        """Take the lock; a cloud that is just ending is waited for.

        Raises:
            CloudRunsError: another one runs.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+", encoding="utf-8")
        deadline = time.monotonic() + _ENDING_S
        while not _try_lock(file):
            holder = _read_holder(file)
            if _is_alive(holder.get("pid")) or time.monotonic() > deadline:
                file.close()
                raise CloudRunsError(_complaint(self._path.parent, holder))
            time.sleep(_POLL_S)
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}, file)
        file.flush()
        os.set_inheritable(file.fileno(), True)
        self._file = file

    def release(self) -> None:
        """Give it back; whoever inherited it still holds it, and is waited for by the next one."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.close()
            self._file = None


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(file: IO[str]) -> dict[str, object]:
    file.seek(0)
    try:
        found = json.loads(file.read())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_alive(pid: object) -> bool:
    """Whether the process that started the cloud is there; its children may outlive it by seconds."""
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _complaint(state_dir: Path, holder: dict[str, object]) -> str:
    pid, since = holder.get("pid", "unknown"), holder.get("since", "an unknown time")
    return (
        f"a local cloud runs already over {state_dir}, since {since}, as process {pid}. Use it: its settings are in "
        f"{state_dir / 'settings.json'}. Or end it: Ctrl-C in its terminal, or `kill {pid}`. Or start another one over "
        "another folder with --state"
    )
