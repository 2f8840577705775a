"""The journal as one file in the state folder."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from agent.install.durable import write_durably
from agent.install.space import is_disk_full
from agent.memory import Memory
from agent.memory_document import read_memory, write_memory

RESERVE_BYTES = 64 << 10
"""Kept for a journal write on a full disk; a journal is a few KiB."""


@dataclass(frozen=True, slots=True)
class FileJournal:
    """Implements ``agent.ports.Journal``."""

    path: Path

    def read(self) -> Memory:
        """The memory last written; an empty one where there is no file.

        Raises:
            MemoryUnreadable: There is one, and it is no journal.
        """
        try:
            return read_memory(self.path.read_bytes())
        except FileNotFoundError:
            return Memory()

    def write(self, memory: Memory) -> None:
        """Replace it, atomically and durably; on a full disk at the cost of the reserve."""
        document = write_memory(memory)
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
