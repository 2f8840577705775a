"""State that a part of the cloud writes when it ends and reads when it starts again."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulator.private_files import write_private_bytes

log = logging.getLogger("cloud")


class Remembered:
    """One JSON file of the state folder.

    Args:
        path: readable by this user only; it may hold device keys.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def restore(self, take: Callable[[dict[str, Any]], None]) -> None:
        """Hand over what was written last; nothing, where nothing was.

        Raises:
            RuntimeError: the file cannot be read; it is named.
        """
        if not self._path.exists():
            return
        try:
            take(json.loads(self._path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise RuntimeError(f"{self._path} cannot be used ({error!r}); remove it to start without it") from error
        log.info("read %s", self._path.name)

    def keep(self, document: dict[str, Any]) -> None:
        """Write it, in place of what was written before."""
        write_private_bytes(self._path, json.dumps(document, separators=(",", ":")).encode())
