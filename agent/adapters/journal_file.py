"""The journal as one file in the state folder."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from agent.install.durable import write_durably
from agent.install.space import is_disk_full
from agent.memory import Memory
from agent.memory_document import MemoryUnreadable, read_memory, write_memory

log = logging.getLogger(__name__)

RESERVE_BYTES = 64 << 10
"""Kept for a journal write on a full disk; a journal is a few KiB."""


@dataclass(frozen=True, slots=True)
class FileJournal:
    """Implements ``agent.ports.Journal``."""

    path: Path

    def read(self) -> Memory:
        """The memory last written, or the one before where that is damaged; an empty one where there is no file.

        Raises:
            MemoryUnreadable: There is one, and neither it nor the one before is a journal.
        """
        try:
            return read_memory(self.path.read_bytes())
        except FileNotFoundError:
            return Memory()
        except MemoryUnreadable as error:
            log.error("%s; going on from the journal before it", error.message)
            try:
                return read_memory(self.old.read_bytes())
            except FileNotFoundError:
                raise error from None

    def write(self, memory: Memory) -> None:
        """Replace it, atomically and durably; on a full disk at the cost of the reserve."""
        document = write_memory(memory)
        self._keep_old()
        try:
            write_durably(self.path, document)
        except OSError as error:
            if not is_disk_full(error) or not self.reserve.exists():
                raise
            self.reserve.unlink()
            write_durably(self.path, document)
        else:
            self._fill_reserve()

    @property
    def reserve(self) -> Path:
        """The file whose room is given up for the journal."""
        return self.path.with_name(f"{self.path.name}.reserve")

    @property
    def old(self) -> Path:
        """The journal before the present one: one step earlier, which every step can be taken again from."""
        return self.path.with_name(f"{self.path.name}.old")

    def _keep_old(self) -> None:
        scratch = self.path.with_name(f"{self.path.name}.old.new")
        with contextlib.suppress(OSError, MemoryUnreadable):
            read_memory(self.path.read_bytes())
            scratch.unlink(missing_ok=True)
            os.link(self.path, scratch)
            scratch.replace(self.old)

    def _fill_reserve(self) -> None:
        if self.reserve.exists():
            return
        scratch = self.path.with_name(f"{self.path.name}.reserve.new")
        with contextlib.suppress(OSError):
            with scratch.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            scratch.replace(self.reserve)
            return
        scratch.unlink(missing_ok=True)
