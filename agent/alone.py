"""One agent per state folder: a second one would empty the slot that the first is filling."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.config import ConfigInvalid


@contextmanager
def only_agent(state_dir: Path) -> Iterator[None]:
    """Hold the folder's lock; it goes with the process, however that ends.

    Raises:
        ConfigInvalid: Another agent holds it.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigInvalid(f"state_dir: another agent is running in {state_dir}") from error
        yield
