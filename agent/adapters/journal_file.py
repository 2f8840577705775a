"""The journal as one file in the state folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.install.durable import write_durably
from agent.memory import Memory
from agent.memory_document import read_memory, write_memory


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
        """Replace it, atomically and durably."""
        write_durably(self.path, write_memory(memory))
