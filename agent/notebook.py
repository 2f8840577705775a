"""The memory in use: every change goes to the journal before anything acts upon it."""

from __future__ import annotations

import logging

from agent.memory import Memory
from agent.ports import Journal

log = logging.getLogger(__name__)


class Notebook:
    """Holds the memory; ``write`` and ``write_or_hold`` are the only ways to change it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._memory = journal.read()
        self._is_held = False

    @property
    def memory(self) -> Memory:
        """The memory as it stands on the disk, or is held until the disk takes it."""
        return self._memory

    def write(self, memory: Memory) -> None:
        """Make this the memory, durably."""
        if memory != self._memory or self._is_held:
            self._journal.write(memory)
            self._memory, self._is_held = memory, False

    def write_or_hold(self, memory: Memory) -> None:
        """Make this the memory; where the disk refuses, of this life only, until the next write that succeeds.

        For what must go on without the journal: going back to the old slot, and saying that a rollout failed.
        """
        try:
            self.write(memory)
        except OSError as error:
            log.error("the journal cannot be written: %s", error)
            self._memory, self._is_held = memory, True
