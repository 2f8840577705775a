"""The memory in use: every change goes to the journal before anything acts upon it."""

from __future__ import annotations

from agent.memory import Memory
from agent.ports import Journal


class Notebook:
    """Holds the memory; ``write`` is the only way to change it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._memory = journal.read()

    @property
    def memory(self) -> Memory:
        """The memory as it stands on the disk."""
        return self._memory

    def write(self, memory: Memory) -> None:
        """Make this the memory, durably."""
        if memory != self._memory:
            self._journal.write(memory)
            self._memory = memory
